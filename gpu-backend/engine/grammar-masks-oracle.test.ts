/**
 * Masks against the slow and obvious way: every token of a vocabulary is tried, byte by byte, in
 * every state that an answer comes to. The vocabulary has thousands of tokens, so that masks are
 * made of bits, and tokens that leave a part of the grammar in the middle, in all ways.
 */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { Automaton, type State } from '#shared/grammar/automaton.ts';
import { compileGrammar } from '#shared/grammar/compile-grammar.ts';
import type { Grammar } from '#shared/grammar/grammar.ts';
import { arbitrarySchema } from '#shared/grammar/testing/arbitrary-schema.ts';
import { GrammarMasks } from './grammar-masks.ts';

const SIGNS = ['"', '{', '}', '[', ']', ':', ',', ' ', '\n', '\\', '0', '7', '.', '-', 'e', 'a', 'b', 'n', '<', 'é'];
const PIECES = ['null', 'true', '"a":', '", "', '"},{"', '   ', '<t>', 'ab', '\\u00', '": "', '12', 'name', '\n    '];
/** Token 0 ends an answer. One sign, two, three, and pieces with signs around them. */
const TEXTS = [
  ...SIGNS.flatMap((a) => ['', ...SIGNS].flatMap((b) => ['', ...SIGNS.slice(0, 8)].map((c) => a + b + c))),
  ...PIECES.flatMap((piece) => ['', ...SIGNS].flatMap((a) => ['', ...SIGNS].map((b) => a + piece + b))),
];
const TOKENS = [
  new Uint8Array(),
  ...[...new Set(TEXTS)].map((text) => new TextEncoder().encode(text)),
  ...Array.from({ length: 255 }, (_, i) => Uint8Array.of(i + 1)),
];
const SIZE = TOKENS.length;
const vocabulary = { eos: [0], banned: [5], bytesOf: (id: number) => (id === 0 ? undefined : TOKENS[id]) };

function allowedBySteps(automaton: Automaton, state: State): number[] {
  return [...TOKENS.keys()].filter((id) => {
    if (id === 0) return state.ends;
    if (id === 5) return false;
    let at: State | null = state;
    for (const byte of TOKENS[id]!) {
      at = automaton.step(at, byte);
      if (at === null) return false;
    }
    return true;
  });
}
const idsOf = (bits: Uint32Array) => [...TOKENS.keys()].filter((id) => ((bits[id >> 5]! >>> (id & 31)) & 1) === 1);

const word = fc.string({ unit: fc.constantFrom('a', 'b', '<', '"', 'é'), minLength: 1, maxLength: 4 });
const schema = arbitrarySchema.map((value): Grammar => ({ type: 'json_schema', schema: JSON.stringify(value) }));

const arbitraryGrammar: fc.Arbitrary<Grammar> = fc.letrec<{ grammar: Grammar }>((tie) => ({
  grammar: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    schema,
    fc.constant<Grammar>({ type: 'json_object' }),
    word.map((text): Grammar => ({ type: 'literal', text })),
    fc.array(word, { maxLength: 3 }).map((without): Grammar => ({ type: 'text', without })),
    fc.array(tie('grammar'), { minLength: 1, maxLength: 3 }).map((parts): Grammar => ({ type: 'sequence', parts })),
    fc.array(tie('grammar'), { minLength: 1, maxLength: 3 }).map((options): Grammar => ({ type: 'choice', options })),
    fc.tuple(fc.array(fc.tuple(word, tie('grammar')), { minLength: 1, maxLength: 4 }), fc.boolean(), fc.nat(2)).map(
      ([triggers, text, least]): Grammar => ({
        type: 'triggered',
        triggers: triggers.map(([begin, body]) => ({ begin, body })),
        ...{ text, between: text ? '' : ', ', least, most: least === 2 ? null : 2 },
      }),
    ),
  ),
})).grammar;

test('a mask allows just the tokens that can follow, for every kind of grammar', () => {
  fc.assert(
    fc.property(arbitraryGrammar, fc.infiniteStream(fc.nat()), (grammar, choices) => {
      const automaton = new Automaton(compileGrammar(grammar));
      const masks = new GrammarMasks(vocabulary, { size: SIZE });
      masks.prepare();
      const mask = masks.maskOf(grammar);
      let state = automaton.start;
      for (let drawn = 0; drawn < 10; drawn++) {
        const allowed = idsOf(mask.allowed()!);
        expect(allowed, JSON.stringify(grammar)).toEqual(allowedBySteps(automaton, state));
        const id = allowed[choices.next().value! % allowed.length]!;
        if (id === 0) return;
        mask.accept(id);
        for (const byte of TOKENS[id]!) state = automaton.step(state, byte)!;
      }
    }),
    { numRuns: 100 },
  );
});

test.each<[string, Grammar, string]>([
  ['many literals', { type: 'json_schema', schema: JSON.stringify({ enum: [...PIECES, ...SIGNS] }) }, '"'],
  [
    'many names, and others',
    {
      type: 'json_schema',
      schema: JSON.stringify({ properties: Object.fromEntries(PIECES.map((name) => [name, {}])), type: 'object' }),
    },
    '{',
  ],
  [
    'text that may end anywhere',
    {
      type: 'sequence',
      parts: [
        { type: 'text', without: ['<t>'] },
        { type: 'literal', text: 'name' },
      ],
    },
    'a',
  ],
  ['a string with a length', { type: 'json_schema', schema: '{"type":"string","minLength":2,"maxLength":3}' }, '"é'],
])('%s', (_name, grammar, text) => {
  const automaton = new Automaton(compileGrammar(grammar));
  const mask = new GrammarMasks(vocabulary, { size: SIZE }).maskOf(grammar);
  let state = automaton.start;
  for (const byte of new TextEncoder().encode(text)) {
    mask.accept(TOKENS.findLastIndex((bytes) => bytes.length === 1 && bytes[0] === byte));
    state = automaton.step(state, byte)!;
    expect(idsOf(mask.allowed()!)).toEqual(allowedBySteps(automaton, state));
  }
});
