import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Frame } from './generate.ts';
import { plainToken } from './plain-token.ts';

const plain = {
  type: 'token',
  id: 7,
  text: 'a',
  weight: 0.5,
  floor: 0,
  lp_s: -1,
  lp_h: null,
  lp: -2,
  spent: 1,
  mark: { mac: 'a'.repeat(43), ran: { safety: 1, helpfulness: 1 } },
};
const asSent = (value: unknown) => JSON.parse(JSON.stringify(value)) as unknown;

const strange = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom<unknown>(undefined, null, -1, -0, 0.5, 2 ** 53, 1e308, '', 'token', true, [], {}),
);
const numberOrNull = fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.constant(null));
const ran = fc.oneof(
  fc.record({ safety: fc.nat(), helpfulness: fc.nat(), layers: fc.nat() }, { requiredKeys: [] }),
  fc.dictionary(fc.constantFrom('safety', 'helpfulness', 'layers', '__proto__', 'x'), fc.oneof(fc.nat(), strange), {
    maxKeys: 3,
  }),
);
const mac = fc.oneof(
  { weight: 8, arbitrary: fc.stringMatching(/^[\w-]{43}$/) },
  { weight: 1, arbitrary: fc.stringMatching(/^[\w-]{42,44}$/) },
  { weight: 1, arbitrary: fc.constantFrom(`${'a'.repeat(43)}\n`, 1) },
);
const mark = fc.tuple(mac, ran).map(([mac, ran]): unknown => ({ mac, ran }));
const token = fc.record({
  type: fc.constant('token'),
  id: fc.nat(),
  text: fc.string(),
  weight: fc.double({ noNaN: true, noDefaultInfinity: true }),
  floor: fc.constantFrom(0, 0.5),
  lp_s: numberOrNull,
  lp_h: numberOrNull,
  lp: numberOrNull,
  spent: numberOrNull,
  mark,
});
/** One field is another value, is lost, or is more than a plain token has. */
const nearly = fc
  .tuple(
    token,
    fc.constantFrom(...Object.keys(plain), 'choice', 'bytes', 'top', 'clamped', '__proto__', 'toString'),
    fc.oneof(strange, mark, ran),
  )
  .map(([token, field, to]) => JSON.parse(JSON.stringify({ ...token, [field]: to })) as unknown);

test('takes what a backend sends with nearly every token', () => {
  expect(plainToken(asSent(plain))).toEqual(plain);
});

test('takes nothing that the schema does not take, and nothing as another value', () => {
  let taken = 0;
  fc.assert(
    fc.property(fc.oneof(token.map(asSent), nearly, strange), (value) => {
      const read = plainToken(value);
      if (read === null) return;
      taken++;
      expect(read).toStrictEqual(Frame.parse(value));
    }),
    { numRuns: 5_000 },
  );
  expect(taken).toBeGreaterThan(500);
});

test.each([
  ['a number that is none', '{"weight":1e999}'],
  ['a field more', '{"clamped":false}'],
  ['a choice', '{"choice":1}'],
  ['a second look', `{"mark":{"mac":"${'a'.repeat(43)}","ran":{},"second_look":null}}`],
  ['a mark without what ran', `{"mark":{"mac":"${'a'.repeat(43)}","x":1}}`],
  ['half a run', `{"mark":{"mac":"${'a'.repeat(43)}","ran":{"safety":0.5}}}`],
  ['a run of something else', `{"mark":{"mac":"${'a'.repeat(43)}","ran":{"x":1}}}`],
  ['a MAC that ends in a line', `{"mark":{"mac":"${'a'.repeat(43)}\\n","ran":{}}}`],
])('leaves %s to the schema', (_name, change) => {
  expect(plainToken({ ...plain, ...JSON.parse(change) })).toBeNull();
});

test('leaves a token without a mark to the schema', () => {
  const { mark: _, ...unmarked } = plain;
  expect(plainToken(unmarked)).toBeNull();
});
