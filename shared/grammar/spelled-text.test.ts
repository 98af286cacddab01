import { describe, expect, test } from 'vitest';
import { spelledText } from './spelled-text.ts';

const spelled = (schema: unknown) => spelledText({ type: 'json_schema', schema: JSON.stringify(schema) });
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
    ['many parts', { $ref: '#/$defs/a0', $defs: twice(18) }],
  ])('%s', (_name, schema) => {
    const { text, isUnread } = spelled(schema);
    expect(isUnread || /\bkill\b/i.test(text)).toBe(true);
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

test('a pattern of great size ends soon', () => {
  for (const pattern of [
    '^(?:(?:(?:ab){1000}){1000}){1000}$',
    `^${'[ab]?'.repeat(500)}$`,
    `^${'(?:a|bc)*'.repeat(99)}$`,
  ]) {
    expect(ofPattern(pattern).isUnread).toBe(true);
  }
});
