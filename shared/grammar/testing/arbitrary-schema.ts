import * as fc from 'fast-check';

const name = fc.constantFrom('a', 'b', 'name', 'é"\\', 'x y');
const count = fc.nat(4);

/** Schemas of supported keywords that allow some value. */
export const arbitrarySchema: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  schema: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    tie('scalar'),
    tie('scalar'),
    tie('object'),
    tie('array'),
    fc.record({ anyOf: fc.array(tie('schema'), { minLength: 1, maxLength: 3 }) }),
  ),
  scalar: fc.oneof(
    fc.constantFrom({ type: 'null' }, { type: 'boolean' }, { type: ['string', 'null'] }, { type: 'number' }),
    fc.record({ enum: fc.array(fc.oneof(name, fc.integer(), fc.constant(null)), { minLength: 1, maxLength: 4 }) }),
    fc.record({ const: fc.jsonValue({ maxDepth: 1 }).map((value) => JSON.parse(JSON.stringify(value)) as unknown) }),
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
    })),
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

const rounded = (value: number) => Math.round(value * 100) / 100;
