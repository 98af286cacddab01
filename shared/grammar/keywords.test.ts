/**
 * Keywords against a validator (ajv), for values that are made from small pieces: a grammar accepts
 * just the valid ones. And what real libraries send.
 */
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { PlimsollError } from '#shared/api/errors.ts';
import { Automaton } from './automaton.ts';
import { compileGrammar } from './compile-grammar.ts';
import { acceptsText, writings } from './testing/accepts-text.ts';

const compiled = (schema: unknown) =>
  new Automaton(compileGrammar({ type: 'json_schema', schema: JSON.stringify(schema) }));
const accepts = (automaton: Automaton, value: unknown) => writings(value).some((text) => acceptsText(automaton, text));

const SCALARS = [null, true, false, 0, 1, 2, -1, 3, 0.5, 0.25, 1.25, 2.5, -0.5, '', 'a', 'b', 'ab', 'abc', 'b1'];
const VALUES: readonly unknown[] = [
  ...SCALARS,
  ...[[], {}, [[]], [{}]],
  ...SCALARS.map((one) => [one]),
  ...SCALARS.flatMap((one) => ['a', 'b', 1, null].map((other) => [one, other])),
  ...[
    ['a', 'b', 'a'],
    ['a', 'b', 1],
    [1, 2, 3],
    ['b', 1, 'a', 2],
    [1, 1, 1],
  ],
  ...SCALARS.flatMap((one) => ['a', 'b', 'c'].map((name) => ({ [name]: one }))),
  ...SCALARS.flatMap((one) => [
    ...[
      { a: one, b: 1 },
      { a: one, b: 'b' },
      { a: 'b', b: one },
      { a: one, c: 2 },
      { b: one, c: null },
    ],
    { a: one, b: 1, c: 'c' },
  ]),
];

/** An object with such a member looks like a promise to a linter. */
const THEN = 'then';
const kindIs = (kind: unknown) => ({ properties: { a: { const: kind } }, required: ['a'] });

describe('accepts just what is valid', () => {
  test.each<[string, object]>([
    ['not a constant', { not: { const: 'a' }, type: ['string', 'null', 'boolean'] }],
    ['not these', { type: ['string', 'integer'], not: { enum: ['a', 'ab', 1, 2] } }],
    ['not of a type', { not: { type: ['object', 'array', 'number'] } }],
    ['not, with a length', { type: 'string', maxLength: 2, not: { enum: ['a', ''] } }],
    ['not, beside a pattern', { type: 'string', pattern: '^[ab]+$', not: { const: 'ab' } }],
    ['not a pattern', { type: 'string', not: { pattern: 'b' } }],
    ['not, not', { not: { not: { type: 'string', minLength: 2 } } }],
    [
      'not one of two',
      { not: { anyOf: [{ type: ['object', 'array'] }, { type: 'number', minimum: 1 }, { const: 'a' }] } },
    ],
    ['not all of two', { not: { allOf: [{ type: 'string' }, { minLength: 2 }] }, type: ['string', 'null'] }],
    ['not by reference', { $defs: { x: { const: 'a' } }, not: { $ref: '#/$defs/x' }, type: 'string' }],
    ['not required', { type: 'object', not: { required: ['a', 'b'] } }],
    ['not with a property', { type: 'object', properties: { a: {}, b: {} }, not: kindIs('a') }],
    ['nothing', { anyOf: [{ not: {} }, { type: 'null' }] }],
    ['if, then', { type: 'object', properties: { a: {}, b: {} }, if: kindIs('a'), [THEN]: { required: ['b'] } }],
    [
      'if, then, else',
      {
        ...{ type: 'object', properties: { a: { enum: ['a', 'b'] }, b: {} }, required: ['a'] },
        ...{ if: kindIs('a'), [THEN]: { properties: { b: { type: 'integer' } } }, else: { required: ['b'] } },
      },
    ],
    ['else alone', { if: { type: 'string' }, else: { type: 'null' } }],
    ['if alone', { type: 'string', if: { const: 'a' } }],
    ['if without a type', { if: { properties: { a: { type: 'string' } } }, [THEN]: { maxLength: 1 }, type: 'string' }],
    ['dependentRequired', { type: 'object', dependentRequired: { a: ['b'], b: ['c'] } }],
    ['dependentRequired, any type', { type: ['string', 'object'], dependentRequired: { a: ['b'] } }],
    ['dependentSchemas', { type: 'object', dependentSchemas: { a: { properties: { b: { type: 'string' } } } } }],
    ['multiples of a half', { type: 'number', multipleOf: 0.5 }],
    ['multiples of a quarter, bounded', { type: 'number', multipleOf: 0.25, minimum: 0.5, exclusiveMaximum: 2.5 }],
    ['multiples of a fraction that are whole', { type: 'integer', multipleOf: 1.5 }],
    ['multiples of two', { multipleOf: 2.5, allOf: [{ multipleOf: 0.5 }] }],
    ['contains', { type: 'array', contains: { type: 'string' } }],
    ['contains twice', { type: 'array', contains: { enum: ['a', 1] }, minContains: 2 }],
    [
      'contains, of items',
      { type: 'array', items: { type: ['string', 'integer'] }, contains: { const: 1 }, maxItems: 3 },
    ],
    ['contains none', { type: 'array', contains: { const: 'a' }, minContains: 0 }],
    [
      'contains, in a prefix',
      { type: 'array', prefixItems: [{ type: 'string' }], items: false, minItems: 1, contains: { const: 'a' } },
    ],
    ['unique values', { type: 'array', items: { enum: ['a', 'b', 1] }, uniqueItems: true }],
    ['unique, at least two', { type: 'array', items: { enum: ['a', 'b', 1] }, uniqueItems: true, minItems: 2 }],
    ['unique booleans', { type: 'array', items: { type: ['boolean', 'null'] }, uniqueItems: true, maxItems: 2 }],
    ['unique, at most one', { type: 'array', uniqueItems: true, maxItems: 1 }],
    ['unique, with a prefix', { prefixItems: [{ const: 'a' }], items: { enum: ['a', 'b', null] }, uniqueItems: true }],
    ['a look ahead', { type: 'string', pattern: '^(?=a|b1)(?!ab$)[ab1c]*$' }],
    ['a look ahead at the end', { type: 'string', pattern: '^(?=.{1,2}$).*b' }],
  ])('%s', (_name, schema) => {
    const validate = new Ajv2020({ strict: false }).compile(schema);
    const automaton = compiled(schema);
    const wrong = VALUES.filter((value) => accepts(automaton, value) !== validate(value));
    expect(wrong).toEqual([]);
    expect(VALUES.some((value) => validate(value))).toBe(true);
  });

  test.each([
    [0.01, ['0', '0.01', '-3.5', '12345.67', '0.10'], ['0.001', '1e-2', '.5', '00.01', '1.']],
    [0.05, ['0.05', '0.1', '7.35', '100'], ['0.01', '7.34', '0.051']],
    [0.125, ['0.125', '0.25', '1.5', '3'], ['0.1', '0.12', '0.3']],
  ])('multiples of %d', (multipleOf, valid, invalid) => {
    const automaton = compiled({ type: 'number', multipleOf });
    expect(valid.filter((text) => !acceptsText(automaton, text))).toEqual([]);
    expect(invalid.filter((text) => acceptsText(automaton, text))).toEqual([]);
  });
});

describe('bounds that a double does not hold', () => {
  /** As a client writes it. Read, the bound may be above or below what was written. */
  const ofText = (schema: string) => new Automaton(compileGrammar({ type: 'json_schema', schema }));
  const ODD = '9007199254740993';

  test.each<[string, string[], string[]]>([
    [`{"type":"integer","minimum":${ODD}}`, ['9007199254740994', '9007199254740995'], ['9007199254740992', '5']],
    [`{"type":"number","minimum":${ODD}}`, ['9007199254740994'], ['9007199254740992', '9007199254740992.5']],
    [`{"type":"integer","maximum":${ODD}}`, ['9007199254740991', '-5'], ['9007199254740992', '9007199254740994']],
    [`{"type":"integer","maximum":-${ODD}}`, ['-9007199254740994'], ['-9007199254740992', '-1']],
    [`{"type":"integer","exclusiveMaximum":${ODD}}`, ['9007199254740990'], ['9007199254740993']],
    [
      '{"type":"integer","minimum":-9223372036854775808,"maximum":9223372036854775807}',
      ['0', '-9223372036854774784', '9223372036854774784'],
      ['9223372036854775807', '9223372036854775808', '-9223372036854775808'],
    ],
    [`{"type":"number","not":{"maximum":${ODD}}}`, ['9007199254740995'], ['9007199254740993', '1']],
    [`{"type":"number","maximum":${Number.MAX_VALUE}}`, ['1', '123456789'], []],
    [`{"type":"integer","maximum":${Number.MAX_VALUE}}`, ['1', '123456789'], []],
  ])('%s', (schema, valid, invalid) => {
    const automaton = ofText(schema);
    expect(valid.filter((text) => !acceptsText(automaton, text))).toEqual([]);
    expect(invalid.filter((text) => acceptsText(automaton, text))).toEqual([]);
  });

  test.each(['integer', 'number'])('no %s is within two such bounds that are read as one', (type) => {
    expect(() => ofText(`{"type":"${type}","minimum":${ODD},"maximum":${ODD}}`)).toThrow(/allows no value|no text/);
    expect(() => ofText(`{"type":"${type}","minimum":${Number.MAX_VALUE}}`)).toThrow(/allows no value|no text/);
  });

  test('two branches of oneOf are not apart because of how they are read', () => {
    const branches = ['{"maximum":9007199254740993}', '{"minimum":9007199254740994}'];
    expect(() => ofText(`{"type":"integer","oneOf":[${branches.join()}]}`)).toThrow(/"#\/oneOf", is only supported/);
    ofText('{"type":"integer","oneOf":[{"maximum":9007199254740993},{"minimum":9007199254741993}]}');
  });
});

describe('is refused, with the keyword and its place', () => {
  const LONG = 1234567890123456800;
  test.each<[object, RegExp]>([
    [{ enum: [1, LONG] }, /"#\/enum", has a whole number beyond 2\^53/],
    [{ enum: [{ a: [LONG] }] }, /"#\/enum", has a whole number beyond 2\^53/],
    [{ const: -LONG }, /"#\/const", has a whole number beyond 2\^53/],
    [{ properties: { a: { const: [[LONG]] } } }, /"#\/properties\/a\/const", has a whole number beyond 2\^53/],
    [{ type: 'integer', not: { const: LONG } }, /"#\/not\/const", has a whole number beyond 2\^53/],
    [{ uniqueItems: true, type: 'array', items: { type: 'string' } }, /"#\/uniqueItems", is only supported where/],
    [{ uniqueItems: true, type: 'array', items: { enum: [1, 2, 3, 4, 5, 6, 7, 8, 9] } }, /at most 8 values/],
    [{ type: 'array', contains: {}, maxContains: 2 }, /"#\/maxContains", is not supported/],
    [{ type: 'array', contains: {}, minContains: 9_999 }, /"#\/minContains"/],
    [{ patternProperties: { '^a': {} } }, /"#\/patternProperties", is not supported/],
    [{ not: { items: {} } }, /"#\/not\/items", is not supported inside of not and if/],
    [{ not: { type: 'integer' } }, /"#\/not\/type", is "integer"/],
    [{ if: { oneOf: [{}] }, [THEN]: {} }, /"#\/if\/oneOf"/],
    [{ type: 'number', not: { const: 1 } }, /"#\/not", is not supported with numbers that may have a fraction/],
    [{ not: { $ref: '#' } }, /refers to itself through not/],
    [{ multipleOf: 0.0000001 }, /"#\/multipleOf"/],
    [{ multipleOf: 1234.5 }, /"#\/multipleOf"/],
    [{ type: 'string', pattern: '^a(?=b)' }, /look ahead/],
    [{ type: 'string', pattern: '^(?!a)b|c' }, /look ahead beside alternatives/],
    [{ type: 'string', pattern: '(?!a)b' }, /look ahead/],
    [{ type: 'string', format: 'iri', pattern: '^a$' }, /"#\/format"/],
    [{ type: 'string', format: 'nanoid' }, /"#\/format"/],
  ])('%j', (schema, message) => {
    expect(() => compiled(schema)).toThrow(PlimsollError);
    expect(() => compiled(schema)).toThrow(message);
  });
});

/** The schemas that zod's own users write, with a valid value and an invalid one. */
const ZOD: Readonly<Record<string, [z.ZodType, unknown, unknown]>> = {
  email: [z.email(), 'ada@example.com', 'ada@'],
  url: [z.url(), 'https://example.com/a?b=1#c', 'example'],
  uuid: [z.uuid(), '123e4567-e89b-42d3-a456-426614174000', '123'],
  datetime: [z.iso.datetime(), '2026-11-30T12:00:00Z', '2026-11-30'],
  date: [z.iso.date(), '2026-02-28', '2026-02-30'],
  ipv4: [z.ipv4(), '127.0.0.1', '127.0.0.256'],
  cidrv4: [z.cidrv4(), '10.0.0.0/8', '10.0.0.0'],
  base64: [z.base64(), 'aGk=', 'a'],
  nanoid: [z.nanoid(), 'V1StGXR8_Z5jdHi6B-myT', 'short'],
  ulid: [z.ulid(), '01ARZ3NDEKTSV4RRFFQ69G5FAV', 'x'],
  phone: [z.e164(), '+4915112345678', '0151'],
  'a beginning': [z.string().startsWith('ab'), 'abc', 'cab'],
  'an end': [z.string().endsWith('c'), 'abc', 'ca'],
  'a part': [z.string().includes('q'), 'aqua', 'a'],
  'lower case': [z.string().lowercase(), 'ab', 'aB'],
  'a whole number': [z.int(), 12, 1.5],
  'a price': [z.number().multipleOf(0.01).nonnegative(), 12.25, 1.005],
  'a set of roles': [z.object({ roles: z.array(z.enum(['a', 'b'])).min(1) }).strict(), { roles: ['a'] }, { roles: [] }],
  'a record': [z.record(z.string(), z.number()), { a: 1 }, { a: 'b' }],
  'a record of names': [z.record(z.enum(['a', 'b']), z.number()), { a: 1, b: 2 }, { a: 1, b: 'c' }],
  'a tuple': [z.tuple([z.string(), z.number()]), ['a', 1], ['a', 'b']],
  'a union': [z.union([z.string(), z.object({ a: z.null() })]), { a: null }, 1],
  kinds: [
    z.discriminatedUnion('k', [z.object({ k: z.literal('a'), x: z.string() }), z.object({ k: z.literal('b') })]),
    { k: 'a', x: 'y' },
    { k: 'a', x: 1 },
  ],
  'null or not': [z.object({ a: z.string().nullable().default(null) }), { a: null }, { a: 1 }],
  described: [z.object({ a: z.string().meta({ id: 'name', title: 'A', examples: ['x'] }) }), { a: 'b' }, { a: 1 }],
  tree: [
    z.object({
      v: z.string(),
      get kids() {
        return z.array(ZOD_TREE());
      },
    }),
    { v: 'a', kids: [{ v: 'b', kids: [] }] },
    { v: 'a', kids: [{ v: 1, kids: [] }] },
  ],
};
function ZOD_TREE(): z.ZodType {
  return ZOD.tree![0];
}

describe('zod', () => {
  const TARGETS = ['draft-2020-12', 'draft-7', 'openapi-3.0'] as const;
  test.each(Object.entries(ZOD).flatMap(([name, one]) => TARGETS.map((target) => [name, target, ...one] as const)))(
    '%s, as %s',
    (name, target, schema, valid, invalid) => {
      const automaton = compiled(z.toJSONSchema(schema, { target }));
      expect(accepts(automaton, valid)).toBe(true);
      expect(schema.safeParse(valid).success).toBe(true);
      // OpenAPI 3.0 has no tuples, so zod writes what their items may be.
      if (name !== 'a tuple' || target !== 'openapi-3.0') expect(accepts(automaton, invalid)).toBe(false);
    },
  );
});

/** As pydantic 2.13 writes them. */
describe('pydantic', () => {
  test.each<[string, object, unknown, unknown]>([
    [
      'a decimal',
      { anyOf: [{ type: 'number' }, { type: 'string', pattern: '^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$' }], title: 'A' },
      '-1.50',
      '-.',
    ],
    [
      'a set of an enum',
      {
        $defs: { E: { enum: ['a', 'b'], title: 'E', type: 'string' } },
        items: { $ref: '#/$defs/E' },
        type: 'array',
        uniqueItems: true,
      },
      ['b', 'a'],
      ['a', 'a'],
    ],
    [
      'a tuple',
      { maxItems: 2, minItems: 2, prefixItems: [{ type: 'integer' }, { type: 'string' }], type: 'array' },
      [1, 'a'],
      [1],
    ],
    [
      'an address',
      { format: 'uri', maxLength: 2083, minLength: 1, type: 'string' },
      'https://a.org/b',
      'https://a.org/b b',
    ],
    ['a secret', { format: 'password', type: 'string', writeOnly: true }, 'x', 1],
    [
      'kinds',
      {
        $defs: {
          A: {
            properties: { k: { const: 'a', title: 'K', type: 'string' } },
            required: ['k'],
            title: 'A',
            type: 'object',
          },
          B: {
            properties: { k: { const: 'b', title: 'K', type: 'string' } },
            required: ['k'],
            title: 'B',
            type: 'object',
          },
        },
        discriminator: { mapping: { a: '#/$defs/A', b: '#/$defs/B' }, propertyName: 'k' },
        oneOf: [{ $ref: '#/$defs/A' }, { $ref: '#/$defs/B' }],
      },
      { k: 'b' },
      { k: 'c' },
    ],
  ])('%s', (_name, schema, valid, invalid) => {
    const automaton = compiled(schema);
    expect(accepts(automaton, valid)).toBe(true);
    expect(accepts(automaton, invalid)).toBe(false);
  });
});
