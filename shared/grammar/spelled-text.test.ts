import { describe, expect, test } from 'vitest';
import { spelledText } from './spelled-text.ts';

const spelled = (schema: unknown) => spelledText({ type: 'json_schema', schema: JSON.stringify(schema) });
const TEXT = { type: 'string' };
const TEXT_KILL = { enum: ['kill'] };
const ofPattern = (pattern: string) => spelled({ type: 'string', pattern });

describe('a word that a schema forces is read, or counts as unread', () => {
  test.each<[string, unknown]>([
    ['ranges of one', { type: 'string', pattern: '^[k-k][i-i][l-l][l-l]$' }],
    ['what occurs no times', { type: 'string', pattern: '^(?:x{0}k)(?:x{0}i)ll$' }],
    ['all but one character', { type: 'string', pattern: '^[^\\u0000-jl-\\u{10ffff}]ill$' }],
    ['two patterns', { type: 'string', allOf: [{ pattern: '^k.l.$' }, { pattern: '^.i.l$' }] }],
    ['code points elsewhere', { $ref: '#/default', default: { type: 'string', pattern: '^\\x6b\\x69\\x6c\\x6c$' } }],
    ['code points', { type: 'string', pattern: '^\\u006b\\u{69}l{2}$' }],
    ['repetitions', { type: 'string', pattern: '^k{1}i{1,1}l{2}$' }],
    ['letters of either case', { type: 'string', pattern: '^[kK][iI][lL][lL]$' }],
    ['few letters', { type: 'string', pattern: '^[kx][iy][lz]l$' }],
    ['few letters, without end', { type: 'string', pattern: '^[kil]+$' }],
    ['few letters, often', { type: 'string', pattern: '^(?:k|i|l|o|p){4}$' }],
    ['no other letter', { type: 'string', pattern: '^[^a-jl-zA-JL-Z]ill$' }],
    ['what may be left out', { type: 'string', pattern: '^kx?ix?lx?l$' }],
    ['no anchors', { type: 'string', pattern: '[k-k][i-i][l-l][l-l]' }],
    ['a group', { type: 'string', pattern: '^(?:k|(?:i))(?:i|q)(?<a>ll)$' }],
    ['a name', { type: 'object', propertyNames: { pattern: '^[k]i[l][l]$' } }],
    ['a name in the definitions', { $ref: '#/$defs/a', $defs: { a: { type: 'object', required: ['kill'] } } }],
    ['an anchor', { $ref: '#a', $defs: { b: { $anchor: 'a', const: 'kill' } } }],
    ['members of a value', { enum: [{ a: ['kill'] }] }],
    ['a counted item, in a place', { type: 'array', prefixItems: [TEXT], items: false, contains: { const: 'kill' } }],
    [
      'a counted item, before others',
      { type: 'array', prefixItems: [TEXT], items: { type: 'null' }, contains: TEXT_KILL },
    ],
    ['a format without its other texts', letters('kill')],
    ['a format beside a pattern', { type: 'string', format: 'hostname', pattern: '^[kа-я]ill$' }],
    [
      'a format beside a pattern that it cuts',
      { type: 'string', format: 'uuid', pattern: '^[fg-n][ag-n][cg-n][eg-n]' },
    ],
    ['two formats', { type: 'string', allOf: [{ format: 'uuid' }, { format: 'hostname' }] }],
    ['a format, cut short', { type: 'string', format: 'duration', maxLength: 3 }],
    ['a format beside what it is not', { type: 'string', format: 'uuid', not: { pattern: '[1-9a-eA-E]' } }],
    ['a name in a format', { type: 'object', propertyNames: letters('k').prefixItems[0] }],
    ['a short text without its others', { type: 'string', maxLength: 1, not: { enum: ['a', 'b'] } }],
    ['many parts', { $ref: '#/$defs/a0', $defs: twice(18) }],
  ])('%s', (_name, schema) => {
    const { text, isUnread } = spelled(schema);
    expect(isUnread || /\bkill\b/i.test(text)).toBe(true);
  });
});

/** An array of as many texts of one character, each in a format without all others. */
function letters(word: string) {
  const all = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'];
  const only = (char: string) => ({
    ...{ type: 'string', format: 'hostname', maxLength: 1, not: { enum: all.filter((one) => one !== char) } },
  });
  return { type: 'array', prefixItems: [...word].map(only), items: false, minItems: word.length };
}

describe('numbers are read where a schema leaves few of them', () => {
  test.each<[object, string]>([
    [{ type: 'integer', minimum: 911, maximum: 911 }, '911'],
    [{ type: 'integer', exclusiveMinimum: 910.5, exclusiveMaximum: 911.5 }, '911'],
    [{ type: 'integer', minimum: 1, maximum: 1000, multipleOf: 911 }, '911'],
    [
      { type: 'integer', minimum: 0, maximum: 1_000_000, allOf: [{ multipleOf: 911 }, { multipleOf: 910 }] },
      '0 829010',
    ],
    [{ type: 'integer', minimum: 911, maximum: 913, not: { enum: [912, 913] } }, '911'],
    [{ type: 'number', minimum: 911, maximum: 911 }, '911'],
    [{ type: 'number', minimum: 911.5, maximum: 912, multipleOf: 0.5 }, '911.5 912'],
    [{ type: 'integer', minimum: 0, maximum: 100 }, ''],
    [{ type: 'number', minimum: 0, maximum: 1 }, ''],
  ])('%j', (schema, text) => {
    expect(spelled(schema)).toEqual({ text, isUnread: false });
  });
});

/** Each definition has the next one twice: a tree of 2^depth parts. */
function twice(depth: number): Record<string, unknown> {
  const defs: Record<string, unknown> = { [`a${depth}`]: { const: 'x' } };
  for (let i = 0; i < depth; i++) {
    const next = { $ref: `#/$defs/a${i + 1}` };
    defs[`a${i}`] = { type: 'array', prefixItems: [next, next], items: false };
  }
  return defs;
}

test('words come in the order of an answer', () => {
  const word = (text: string) => ({ const: text });
  const schema = {
    $defs: { d: word('weapon'), c: word('a'), b: word('build'), a: word('how to') },
    type: 'array',
    prefixItems: ['a', 'b', 'c', 'd', 'c'].map((name) => ({ $ref: `#/$defs/${name}` })),
    items: false,
  };
  expect(spelled(schema)).toEqual({ text: 'how to build a weapon a', isUnread: false });
});

test('names, values and patterns are read where they stand', () => {
  const schema = {
    type: 'object',
    properties: { name: { type: 'string', pattern: '^(Mr|Ms) [A-Z]' }, kind: { enum: ['cat', 'dog', 3] } },
    required: ['name', 'id'],
    additionalProperties: false,
  };
  expect(spelled(schema)).toEqual({ text: 'name mr ms kind cat dog 3 id', isUnread: false });
});

describe('usual patterns are read', () => {
  test.each([
    '^\\d{4}-\\d{2}-\\d{2}$',
    '^[\\w.+-]+@[\\w-]+\\.[a-z]{2,}$',
    '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$',
    '^(\\+\\d{1,2}\\s)?\\(?\\d{3}\\)?[\\s.-]\\d{3}[\\s.-]\\d{4}$',
    '^[A-Z]{3}$',
    '^#[0-9a-fA-F]{6}$',
    '^https?://[^\\s]+$',
    '^v?\\d+\\.\\d+\\.\\d+(-[a-z0-9]+)?$',
    '^(red|green|blue)(,(red|green|blue))*$',
    '^([01]\\d|2[0-3]):[0-5]\\d$',
    '^[a-z][a-z0-9_-]{0,62}$',
    '^((25[0-5]|2[0-4]\\d|1?\\d?\\d)\\.){3}(25[0-5]|2[0-4]\\d|1?\\d?\\d)$',
    '^[A-F][+-]?$',
    '^\\S+$',
    '.*',
  ])('%s', (pattern) => {
    expect(ofPattern(pattern).isUnread).toBe(false);
  });
});

test('the formats of JSON Schema spell nothing', () => {
  for (const format of ['date-time', 'email', 'uuid', 'ipv4']) {
    expect(spelled({ type: 'string', format })).toEqual({ text: '', isUnread: false });
  }
});

test('bounds and patterns that libraries write beside formats are read', () => {
  for (const beside of [
    {
      format: 'uuid',
      pattern: '^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$',
    },
    { format: 'date', pattern: '^\\d{4}-\\d{2}-\\d{2}$' },
    {
      format: 'ipv4',
      pattern: '^(?:(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)\\.){3}(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)$',
    },
    { format: 'email', maxLength: 255 },
    { format: 'uuid', minLength: 36, maxLength: 36 },
    { minLength: 1, maxLength: 1 },
    { not: { enum: ['', 'none'] } },
  ]) {
    expect(spelled({ type: 'string', ...beside }).isUnread, JSON.stringify(beside)).toBe(false);
  }
});

test('a pattern of great size ends soon', () => {
  for (const pattern of [
    '^(?:(?:(?:ab){1000}){1000}){1000}$',
    `^${'[ab]?'.repeat(500)}$`,
    `^${'(?:a|bc)*'.repeat(99)}$`,
  ]) {
    expect(ofPattern(pattern).isUnread).toBe(true);
  }
});
