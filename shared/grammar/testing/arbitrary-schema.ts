import * as fc from 'fast-check';
import { PlimsollError } from '#shared/api/errors.ts';
import { compileGrammar } from '../compile-grammar.ts';

const name = fc.constantFrom('a', 'b', 'name', 'é"\\', 'x y');
const count = fc.nat(4);
/** An object with such a member looks like a promise to a linter. */
const THEN = 'then';
const notThese = fc.oneof(
  fc.constantFrom<unknown>(
    { const: null },
    { enum: [true, 'a', 1] },
    { type: 'null' },
    { minLength: 2 },
    { minimum: 3 },
  ),
  fc.constantFrom(
    { anyOf: [{ const: 'b' }, { maximum: -2 }] },
    { not: { type: ['string', 'number'] } },
    { pattern: 'x' },
  ),
);

const madeSchema: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  schema: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    tie('scalar'),
    tie('scalar'),
    tie('object'),
    tie('array'),
    tie('held'),
    fc.record({ anyOf: fc.array(tie('schema'), { minLength: 1, maxLength: 3 }) }),
  ),
  scalar: fc.oneof(
    fc.constantFrom({ type: 'null' }, { type: 'boolean' }, { type: ['string', 'null'] }, { type: 'number' }),
    fc.record({ enum: fc.array(fc.oneof(name, fc.integer(), fc.constant(null)), { minLength: 1, maxLength: 4 }) }),
    fc.record({
      const: fc.jsonValue({ maxDepth: 1 }).map((value): unknown => JSON.parse(JSON.stringify(value), exact)),
    }),
    fc
      .tuple(fc.integer({ min: -2000, max: 2000 }), fc.nat(500), fc.constantFrom(1, 7))
      .map(([minimum, more, multipleOf]) => ({ type: 'integer', minimum, maximum: minimum + more + 7, multipleOf })),
    fc
      .tuple(fc.double({ min: -50, max: 50, noNaN: true }), fc.double({ min: 0.01, max: 9, noNaN: true }))
      .map(([low, more]) => ({
        type: 'number',
        exclusiveMinimum: rounded(low),
        exclusiveMaximum: rounded(low + more) + 0.01,
      })),
    fc.tuple(count, count).map(([minLength, more]) => ({ type: 'string', minLength, maxLength: minLength + more })),
    fc.constantFrom('^[a-c]{2,4}$', 'b+', '^(x|yy)*\\d$', '[^"\\\\]é').map((pattern) => ({ type: 'string', pattern })),
    fc.record({ type: fc.constant('string'), pattern: fc.constant('^[ab]*$'), minLength: count }),
    fc.constantFrom('^(?!ab)[a-c]{2,4}$', '^(?=.*b$)(?!a)[a-c]+$').map((pattern) => ({ type: 'string', pattern })),
    fc.tuple(name, fc.nat(3)).map(([not, minLength]) => ({ type: 'string', minLength, not: { enum: [not, ''] } })),
    fc.record({ type: fc.constantFrom(['string', 'null'], ['integer', 'boolean']), not: notThese }),
    fc
      .constantFrom({ multipleOf: 0.5 }, { multipleOf: 2.5, minimum: -3.5 }, { multipleOf: 0.25, maximum: 4 })
      .map((bounds) => ({ type: 'number', ...bounds })),
  ),
  object: fc
    .tuple(
      fc.uniqueArray(fc.tuple(name, tie('schema'), fc.boolean()), { maxLength: 4, selector: ([key]) => key }),
      fc.oneof(fc.constant(false), fc.constant(undefined), tie('scalar')),
    )
    .map(([members, additionalProperties]) => ({
      type: 'object',
      properties: Object.fromEntries(members.map(([key, schema]) => [key, schema])),
      required: members.filter(([, , required]) => required).map(([key]) => key),
      ...(additionalProperties !== undefined && { additionalProperties }),
    }))
    .chain((object) =>
      fc.oneof(
        fc.constant(object),
        dependent.map((more) => ({ ...object, ...more })),
      ),
    ),
  held: fc.oneof(
    fc.record({ type: fc.constant('array'), contains: tie('scalar'), minContains: fc.nat(2), maxItems: fc.nat(4) }),
    fc.record({ type: fc.constant('array'), contains: tie('scalar'), items: tie('scalar') }),
    fc
      .tuple(fc.uniqueArray(fc.oneof(name, fc.integer(), fc.boolean()), { minLength: 1, maxLength: 4 }), count)
      .map(([values, minItems]) => ({
        ...{ type: 'array', items: { enum: values }, uniqueItems: true, minItems: Math.min(minItems, values.length) },
      })),
  ),
  array: fc
    .tuple(fc.option(tie('schema')), fc.array(tie('schema'), { maxLength: 2 }), count, fc.option(count))
    .map(([items, prefixItems, minItems, more]) => ({
      type: 'array',
      ...(items !== null && { items }),
      ...(prefixItems.length > 0 && { prefixItems }),
      minItems,
      ...(more !== null && { maxItems: minItems + more }),
    })),
})).schema;

/** A whole number beyond 2^53 is refused, because JSON.parse reads another one. */
const exact = (_: string, value: unknown) =>
  Number.isInteger(value) && !Number.isSafeInteger(value) ? 2 ** 53 - 1 : value;

/** Schemas of supported keywords that allow some value. */
export const arbitrarySchema = madeSchema.filter(allowsSome);

/** Parts that are fine alone may leave nothing together. */
function allowsSome(schema: unknown): boolean {
  try {
    compileGrammar({ type: 'json_schema', schema: JSON.stringify(schema) });
    return true;
  } catch (thrown) {
    if (thrown instanceof PlimsollError && /allows no value/.test(thrown.message)) return false;
    throw thrown;
  }
}

/** What depends on a property. */
const dependent = fc.constantFrom<object>(
  { dependentRequired: { a: ['b'], name: [] } },
  { dependentSchemas: { a: { required: ['name'] } } },
  {
    if: { properties: { a: { const: 'b' } }, required: ['a'] },
    [THEN]: { required: ['b'] },
    else: { required: ['name'] },
  },
  { if: { properties: { b: { enum: ['b', null] } } }, else: { properties: { a: { type: 'null' } } } },
  { not: { required: ['a', 'b'] } },
);

const rounded = (value: number) => Math.round(value * 100) / 100;
