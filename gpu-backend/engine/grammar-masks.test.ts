/**
 * Answers under a grammar, with an engine over scripted experts that say anything: bytes as tokens,
 * and also a vocabulary of longer tokens.
 */
import { Ajv2020 } from 'ajv/dist/2020.js';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { seedKey } from '#shared/gate/index.ts';
import { Automaton, type State } from '#shared/grammar/automaton.ts';
import { compileGrammar } from '#shared/grammar/compile-grammar.ts';
import type { Grammar } from '#shared/grammar/grammar.ts';
import { arbitrarySchema } from '#shared/grammar/testing/arbitrary-schema.ts';
import { OPEN_LINE } from '#shared/line/line.ts';
import type { EngineRequest } from './engine.ts';
import { GrammarMasks } from './grammar-masks.ts';
import { type Script, ScriptedExperts } from './scripted-experts.ts';
import { driveAnswer } from './testing/drive-answer.ts';
import { createMaskOf } from './token-mask.ts';

/** Token 0 ends an answer. All bytes, and pieces of JSON and of words. */
const PIECES = [
  '{"',
  '"}',
  '":',
  '", "',
  '":"',
  '"a"',
  'null',
  'true',
  '[[',
  ']]',
  '},{',
  '12',
  '.5',
  ' "',
  '\n  ',
  'é"',
  'ab',
  '\\"',
  '<t',
  'ool>',
];
const TOKENS = [
  new Uint8Array(),
  ...Array.from({ length: 255 }, (_, i) => Uint8Array.of(i + 1)),
  ...PIECES.map((text) => new TextEncoder().encode(text)),
];
const SIZE = TOKENS.length;
const vocabulary = {
  eos: [0],
  banned: [5],
  bytesOf: (id: number) => (id === 0 || id === 5 ? undefined : TOKENS[id]),
};
const maskOf = createMaskOf(vocabulary, { size: SIZE });
const textOf = (ids: readonly number[]) =>
  Buffer.concat(ids.map((id) => vocabulary.bytesOf(id) ?? new Uint8Array())).toString();

/** The tokens that may come next, by the definition: those whose bytes the automaton survives. */
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

const ofSchema = (schema: unknown): Grammar => ({ type: 'json_schema', schema: JSON.stringify(schema) });

/** Draws one answer from experts whose logits follow from `seed`; the end is a little likelier. */
async function answer(
  grammar: Grammar,
  {
    seed,
    maxTokens = 160,
    sampling = {},
    budget = null,
  }: { seed: number; maxTokens?: number; sampling?: Partial<EngineRequest['sampling']>; budget?: number | null },
) {
  const script: Script = (source, ids) => {
    const turn = ids.reduce((hash, id) => (hash * 31 + id) % 99_991, seed * 7 + (source === 'safety' ? 1 : 2));
    return Array.from({ length: SIZE }, (_, id) => 3 * Math.sin(turn * (id + 1)) + (CLOSING.has(id) ? 3 : 0));
  };
  const request: EngineRequest = {
    promptIds: [97],
    maxTokens,
    stop: [],
    sampling: { key: seedKey(seed), temperature: 1, topP: 1, grammar, ...sampling },
    line: { ...OPEN_LINE, budget },
  };
  const driver = new ScriptedExperts(script, { vocabSize: SIZE });
  const options = { vocabulary, proposal: 0.5, contextLength: 1_000, maskOf };
  const { events } = await driveAnswer(driver, { request, options });
  const ids = events.flatMap((event) => (event.type === 'token' ? [event.id] : []));
  const end = events.find((event) => event.type === 'end')!;
  return { ids, text: textOf(ids), finish: end.finish_reason };
}
/** What makes JSON come to an end. */
const CLOSING = new Set([
  0,
  ...[...'"}]'].map((char) => char.charCodeAt(0)),
  TOKENS.findIndex((bytes) => Buffer.from(bytes).toString() === '"}'),
]);

test('whatever is drawn under a schema and ends by itself is valid under it (ajv), greedy or not', async () => {
  const ajv = new Ajv2020({ strict: false, allErrors: false });
  let finished = 0;
  await fc.assert(
    fc.asyncProperty(arbitrarySchema, fc.nat(1e6), fc.constantFrom(0, 0.7, 1.5), async (schema, seed, temperature) => {
      const { text, finish } = await answer(ofSchema(schema), { seed, sampling: { temperature } });
      if (finish !== 'stop') return;
      finished++;
      const validate = ajv.compile(schema as object);
      expect(validate(JSON.parse(text)), `${JSON.stringify(schema)}: ${text}`).toBe(true);
    }),
    { numRuns: 150 },
  );
  expect(finished).toBeGreaterThan(40);
});

test('a mask allows just the tokens that the grammar survives, at every token of an answer', async () => {
  await fc.assert(
    fc.asyncProperty(arbitrarySchema, fc.nat(1e6), async (schema, seed) => {
      const grammar = ofSchema(schema);
      const { ids } = await answer(grammar, { seed, maxTokens: 40 });
      const automaton = new Automaton(compileGrammar(grammar));
      const mask = new GrammarMasks(vocabulary, { size: SIZE }).maskOf(grammar);
      let state = automaton.start;
      for (const id of ids) {
        const allowed = idsOf(mask.allowed()!);
        expect(allowed).toEqual(allowedBySteps(automaton, state));
        // There is always a way on.
        expect(allowed.length).toBeGreaterThan(0);
        expect(allowed).toContain(id);
        if (id === 0) break;
        mask.accept(id);
        for (const byte of TOKENS[id]!) state = automaton.step(state, byte)!;
      }
    }),
    { numRuns: 40 },
  );
});

describe('an answer', () => {
  const PERSON = ofSchema({
    type: 'object',
    properties: { name: { type: 'string', maxLength: 5 }, age: { type: 'integer', minimum: 0, maximum: 120 } },
    required: ['name', 'age'],
    additionalProperties: false,
  });

  test('ends where its grammar ends, even if its experts never end it and min_tokens wants more', async () => {
    const { text, finish } = await answer(ofSchema({ const: { a: [1, 'b'] } }), {
      seed: 3,
      sampling: { logitBias: new Map([[0, -100]]) },
    });
    expect(JSON.parse(text)).toEqual({ a: [1, 'b'] });
    expect(finish).toBe('stop');
  });

  test('goes on under its grammar where another engine has left it', async () => {
    const whole = await answer(PERSON, { seed: 11 });
    expect(whole.finish).toBe('stop');
    const mask = maskOf({ sampling: { grammar: PERSON } } as EngineRequest)!;
    for (const id of whole.ids.slice(0, 4)) mask.accept(id);
    expect(idsOf(mask.allowed()!)).toContain(whole.ids[4]);
    expect(() => mask.accept('~'.charCodeAt(0))).toThrow(/does not follow its grammar/);
  });

  test('is refused together with a list of tokens: what both allow may have no end', () => {
    // The cast: a mask is made of the sampling alone.
    expect(() => maskOf({ sampling: { grammar: PERSON, allowedIds: [0, 44] } } as unknown as EngineRequest)).toThrow(
      expect.objectContaining({ code: 'invalid_value', param: 'allowed_token_ids' }),
    );
  });

  test('is refused if nothing can be allowed, and a grammar never goes unheld', () => {
    for (const [schema, message] of [
      [{ not: {} }, /allows no value/],
      [{ maxContains: 1, contains: {} }, /#\/maxContains/],
    ] as const) {
      expect(() => maskOf({ sampling: { grammar: ofSchema(schema) } } as EngineRequest)).toThrow(message);
    }
  });

  const CALLS: Grammar = {
    type: 'triggered',
    triggers: [{ begin: '<tool>', body: { type: 'sequence', parts: [PERSON, { type: 'literal', text: '</tool>' }] } }],
    text: true,
    between: '',
    least: 0,
    most: 1,
  };

  test('of free text and calls has calls that are whole, and no more of them than allowed', async () => {
    let calls = 0;
    for (let seed = 0; seed < 30; seed++) {
      const push = new Map([...'<tol>'].map((char) => [char.charCodeAt(0), 2]));
      const { text, finish } = await answer(CALLS, { seed, maxTokens: 250, sampling: { logitBias: push } });
      const begun = text.split('<tool>').slice(1);
      expect(begun.length).toBeLessThanOrEqual(1);
      if (finish === 'stop') for (const call of begun) expect(call).toMatch(/^\{[\s\S]*\}<\/tool>/);
      calls += begun.length;
    }
    const forced = await answer({ ...CALLS, text: false, least: 1 }, { seed: 1 });
    expect(forced.text).toMatch(/^<tool>\{[\s\S]*\}<\/tool>$/);
    expect(calls).toBeGreaterThanOrEqual(0);
  });
});

test('a vocabulary may have more tokens than a call has arguments', () => {
  const size = 200_000;
  const bytesOf = (id: number) => (id === 0 ? undefined : Uint8Array.of(id & 255, (id >> 8) & 255, id >> 16));
  const masks = new GrammarMasks({ eos: [0], banned: [], bytesOf }, { size });
  expect(masks.maskOf({ type: 'json_object' }).allowed()).not.toBeNull();
});
