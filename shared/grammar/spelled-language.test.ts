/** Where a schema leaves few texts, the classifier reads them all or is told that it does not. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { PlimsollError } from '#shared/api/errors.ts';
import { Automaton, type State } from './automaton.ts';
import { compileGrammar } from './compile-grammar.ts';
import { spelledText } from './spelled-text.ts';

/** With more, the model has a choice. */
const FEW_TEXTS = 8;
/** More are not tried: the language is not small. */
const MOST_STEPS = 1_500;

/** All texts that a grammar accepts, of visible ASCII characters; null if they are not few. */
function language(automaton: Automaton): string[] | null {
  const found: string[] = [];
  let steps = 0;
  const walk = (state: State, text: string): boolean => {
    if (++steps > MOST_STEPS || text.length > 200) return false;
    if (state.ends) found.push(text);
    if (found.length > FEW_TEXTS) return false;
    for (let byte = 0x21; byte < 0x7f; byte++) {
      const next = automaton.step(state, byte);
      if (next !== null && !walk(next, text + String.fromCharCode(byte))) return false;
    }
    return true;
  };
  return walk(automaton.start, '') ? found : null;
}

/** Names, texts and numbers of a value. */
function saidBy(value: unknown): string[] {
  if (typeof value === 'string' || typeof value === 'number') return [String(value)];
  if (typeof value !== 'object' || value === null) return [];
  if (Array.isArray(value)) return value.flatMap(saidBy);
  return Object.entries(value).flatMap(([name, member]) => [name, ...saidBy(member)]);
}

const ALL = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'];
const word = fc.constantFrom('kill', 'k', 'bomb', 'facedbed');
const alone = (char: string) => ({ enum: ALL.filter((one) => one !== char) });
const held = fc.constantFrom<object>(
  ...['^k', '^[kа-я]$', '^[ks-z][ip-x][la-h]?$', '^(?:kill|bomb)$', '^[fg-n][ag-n]$', '^[0g-z-]+$'].map((pattern) => ({
    pattern,
  })),
  ...['hostname', 'uuid', 'date', 'duration', 'email', 'ipv6'].map((format) => ({ format })),
  ...[{ maxLength: 1 }, { maxLength: 2 }, { minLength: 4 }, { not: alone('k') }, { not: { pattern: '[^k0-]' } }],
  ...[{ not: { minLength: 2 } }, { not: { const: 'kill' } }, { enum: ['kill', 'bomb'] }, { const: 'kill' }],
  ...[{ pattern: '^(?=k)[a-z]{2}$' }, { pattern: '^(?!b)[bk]$' }],
);
const text = fc.array(held, { minLength: 1, maxLength: 3 }).map((allOf) => ({ type: 'string', allOf }));
const number = fc
  .record({
    type: fc.constantFrom('integer', 'number'),
    minimum: fc.integer({ min: -20, max: 1000 }),
    more: fc.constantFrom(0, 0.5, 3, 12),
    multipleOf: fc.option(fc.constantFrom(2, 7, 911, 2.5), { nil: undefined }),
    not: fc.option(fc.record({ enum: fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 5 }) }), {
      nil: undefined,
    }),
  })
  .map(({ more, minimum, ...rest }) => ({ ...rest, minimum, maximum: minimum + more }));

const schema = fc.letrec((tie) => ({
  any: fc.oneof(
    { depthSize: 'small' },
    text,
    number,
    fc.record({ const: word }),
    tie('array'),
    tie('object'),
    tie('both'),
  ),
  array: fc
    .record({
      prefixItems: fc.array(fc.oneof(fc.constant({ type: 'string' }), fc.constant({}), tie('any')), {
        minLength: 1,
        maxLength: 3,
      }),
      items: fc.constantFrom(false, { const: 'kill' }, { type: 'null' }),
      contains: fc.option(tie('any'), { nil: undefined }),
      maxItems: fc.constantFrom(1, 2, 3),
      minItems: fc.nat(2),
    })
    .map((array) => ({ type: 'array', ...array })),
  object: fc
    .tuple(tie('any'), fc.option(text, { nil: undefined }), fc.boolean())
    .map(([member, propertyNames, isClosed]) => ({
      type: 'object',
      ...(isClosed
        ? { properties: { a: member }, required: ['a'], additionalProperties: false }
        : { additionalProperties: member }),
      ...(propertyNames !== undefined && { propertyNames }),
    })),
  both: fc.tuple(tie('any'), tie('any'), fc.constantFrom('allOf', 'anyOf')).map(([a, b, key]) => ({ [key]: [a, b] })),
})).any;

test('every text of a small language is read, or it counts as unread', () => {
  let small = 0;
  fc.assert(
    fc.property(schema, (one) => {
      const grammar = { type: 'json_schema' as const, schema: JSON.stringify(one) };
      let texts: string[] | null;
      try {
        texts = language(new Automaton(compileGrammar(grammar)));
      } catch (thrown) {
        // Not supported, or nothing is left.
        if (thrown instanceof PlimsollError) return;
        throw thrown;
      }
      if (texts === null) return;
      const spelled = spelledText(grammar);
      if (spelled.isUnread) return;
      small++;
      for (const said of texts.flatMap((one) => saidBy(JSON.parse(one)))) {
        expect(spelled.text.toLowerCase()).toContain(said.toLowerCase());
      }
    }),
    { numRuns: 600 },
  );
  expect(small).toBeGreaterThan(30);
});
