/**
 * The law of the budget under everything a request may ask for: every answer of a small vocabulary,
 * with its exact probability, through driver, answer and gate. Masks, top-k, min-p and the rest
 * shape the safety expert it is measured against; biases and penalties do not. Each probability is
 * also compared with the oracle's.
 */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { NO_WEIGHTS, seedKey } from '#shared/gate/index.ts';
import * as oracle from '#shared/gate/testing/oracle.ts';
import { numbersAt, tree } from '#shared/gate/testing/tree.ts';
import type { Grammar } from '#shared/grammar/grammar.ts';
import { OPEN_LINE, RULES, type Rule } from '#shared/line/line.ts';
import type { AnswerState } from './answer-state.ts';
import type { EngineRequest } from './engine.ts';
import { type Script, ScriptedExperts } from './scripted-experts.ts';
import { driveAnswer } from './testing/drive-answer.ts';
import { createMaskOf, type MaskOf } from './token-mask.ts';

const SIZE = 5;
const LENGTH = 3;
const EOS = 0;
const BANNED = 4;
const PROMPT = [1, 2];
const PROPOSAL = 0.2;

const vocabulary = {
  eos: [EOS],
  banned: [BANNED],
  bytesOf: (id: number) => (id === EOS || id === BANNED ? undefined : Uint8Array.of(96 + id)),
};

type Case = {
  seed: number;
  rule: Rule;
  budget: number;
  minTokens: number;
  sampling: Omit<EngineRequest['sampling'], 'key' | 'allowedIds'>;
  allows: 'all' | 'some' | 'others at each token' | 'a grammar';
};

const nats = fc.double({ min: -2, max: 2, noNaN: true });

const given: fc.Arbitrary<Case> = fc.record({
  seed: fc.nat(),
  rule: fc.constantFrom(...RULES),
  budget: fc.double({ min: 0, max: 3, noNaN: true }),
  minTokens: fc.nat(LENGTH),
  sampling: fc.record({
    temperature: fc.constantFrom(0.5, 1, 1.5),
    topP: fc.constantFrom(0.6, 0.9, 1),
    topK: fc.constantFrom(0, 1, 2, 3),
    minP: fc.constantFrom(0, 0.1, 0.5),
    presencePenalty: nats,
    frequencyPenalty: nats,
    repetitionPenalty: fc.double({ min: 0.1, max: 2, noNaN: true }),
    logitBias: fc
      .array(fc.tuple(fc.nat(SIZE - 1), fc.constantFrom(-100, -3, 3, 100)), { maxLength: 3 })
      .map((entries) => new Map(entries)),
  }),
  allows: fc.constantFrom('all', 'some', 'others at each token', 'a grammar'),
});

/** A client that pushes and bans words, with a small budget. */
const TEMPTING = [1, 2, 3].map((seed): [Case] => [
  {
    seed,
    rule: 'geometric',
    budget: 0.6,
    minTokens: 0,
    sampling: { temperature: 1, topP: 1, logitBias: new Map([[1 + (seed % 3), -100]]) },
    allows: 'others at each token',
  },
]);

/** The texts of a few grammars. Tokens 1, 2 and 3 are a, b and c. */
const GRAMMARS = [
  ['ab', 'abc', 'b', 'cc'],
  ['a', 'aa', 'aaa', 'aaab'],
  ['', 'bca', 'bcb', 'c'],
];
const textsOf = ({ seed }: Case) => GRAMMARS[seed % GRAMMARS.length]!;

/** By definition: what goes on with one of the texts, and an end after a whole one. */
function allowedByGrammar(one: Case, drawn: readonly number[]): Set<number> {
  const said = String.fromCharCode(...drawn.map((id) => 96 + id));
  const texts = textsOf(one).filter((text) => text.startsWith(said));
  return new Set(texts.map((text) => (text === said ? EOS : text.charCodeAt(said.length) - 96)));
}

/** The tokens that this case's mask allows after these. */
function allowedAfter(one: Case, drawn: readonly number[]): Set<number> {
  const { seed, allows } = one;
  const all = Array.from({ length: SIZE }, (_, id) => id);
  if (allows === 'all') return new Set(all);
  if (allows === 'a grammar') return allowedByGrammar(one, drawn);
  const u = numbersAt(seed, allows === 'some' ? [-1] : [...drawn, -1]);
  // There is always a word.
  return new Set(all.filter((id) => u(id) < 0.6 || id === 1 + Math.floor(3 * u(SIZE))));
}

const grammarOf = (one: Case): Grammar => ({
  type: 'choice',
  options: textsOf(one).map((text) => ({ type: 'literal', text })),
});

const movingMask =
  (one: Case): MaskOf =>
  () => {
    const drawn: number[] = [];
    return {
      allowed: () => Uint32Array.of([...allowedAfter(one, drawn)].reduce((bits, id) => bits | (1 << id), 0)),
      accept: (id) => void drawn.push(id),
    };
  };

/** What shapes p_s~ after these tokens, from the definition: no bias and no penalty. */
function shapeAfter(one: Case, drawn: readonly number[]) {
  const { temperature, topP, topK = 0, minP = 0 } = one.sampling;
  const allowed = allowedAfter(one, drawn);
  // Every token but the end is a word, so an answer may end once it has one, and min_tokens.
  const hasWord = [1, 2, 3].some((id) => allowed.has(id));
  // A grammar that leaves nothing but the end has the last word.
  const mayEnd = drawn.length >= Math.max(1, one.minTokens) || !hasWord;
  const mask = new Set([0, 1, 2, 3, 4].filter((id) => !allowed.has(id) || id === BANNED || (id === EOS && !mayEnd)));
  return { temperature, topP, topK, minP, mask };
}

/** What shapes only the mixture, from OpenAI's formula and Hugging Face's. */
function wishesAfter({ sampling }: Case, drawn: readonly number[]) {
  const { presencePenalty = 0, frequencyPenalty = 0, repetitionPenalty = 1, logitBias } = sampling;
  const all = Array.from({ length: SIZE }, (_, id) => id);
  const count = (id: number) => drawn.filter((token) => token === id).length;
  const bias = (id: number) =>
    (logitBias?.get(id) ?? 0) - count(id) * frequencyPenalty - (count(id) > 0 ? presencePenalty : 0);
  const isSaid = (id: number) => PROMPT.includes(id) || drawn.includes(id);
  return {
    bias: new Map(all.map((id) => [id, bias(id)])),
    scale: new Map(all.map((id) => [id, isSaid(id) ? repetitionPenalty : 1])),
  };
}

test('q is the oracle’s, and q(y) <= e^K * p_s~(y), whatever a client bans, pushes, allows or cuts off', async () => {
  let tightest = 0;
  await fc.assert(
    fc.asyncProperty(given, async (one) => {
      const { seed, rule, budget, minTokens, sampling, allows } = one;
      const experts = tree(seed, { size: SIZE });
      const script: Script = (source, ids) => {
        const { safetyLogits, helpfulLogits } = experts(ids.slice(PROMPT.length));
        return source === 'safety' ? safetyLogits : helpfulLogits;
      };
      const driver = new ScriptedExperts(script, { vocabSize: SIZE });
      const visit = async (logQ: number, logPs: number, drawn: readonly number[]): Promise<number> => {
        const resume: AnswerState = {
          ids: drawn,
          spent: logQ - logPs,
          weights: NO_WEIGHTS,
          ran: {},
        };
        const request: EngineRequest = {
          promptIds: PROMPT,
          maxTokens: LENGTH,
          minTokens,
          stop: [],
          sampling: {
            key: seedKey(`${seed}/${drawn}`),
            ...sampling,
            ...(allows === 'some' && { allowedIds: [...allowedAfter(one, [])] }),
            ...(allows === 'a grammar' && { grammar: grammarOf(one) }),
          },
          topLogprobs: SIZE,
          line: { ...OPEN_LINE, rule, budget },
          resume,
        };
        const maskOf = allows === 'others at each token' ? movingMask(one) : createMaskOf(vocabulary, { size: SIZE });
        const options = { vocabulary, proposal: PROPOSAL, contextLength: 96, maskOf };
        const rows = experts([...drawn]);
        const shape = shapeAfter(one, drawn);
        const reference = oracle.reference(rows.safetyLogits, shape);
        const step = driveAnswer(driver, { request, options, atMost: 1 });
        if (reference.some(Number.isNaN)) {
          await expect(step).rejects.toMatchObject({ code: 'safety_row_unusable' });
          return 1;
        }
        const [token] = (await step).events;
        if (token?.type !== 'token') throw new Error('a step gives a token');
        const expected = oracle.gate({
          ...rows,
          proposal: PROPOSAL,
          policy: request.line,
          sampling: { ...request.sampling, ...shape, ...wishesAfter(one, drawn) },
          state: { position: drawn.length, spent: logQ - logPs },
        });
        let mass = 0;
        for (const { id, lp } of token.top!) {
          if (lp === null) continue;
          expect(Math.exp(lp)).toBeCloseTo(expected[id]!, 9);
          const [q, ps] = [logQ + lp, logPs + Math.log(reference[id]!)];
          expect(q - ps).toBeLessThanOrEqual(budget + 1e-9);
          if (id === token.id) expect(token.spent).toBeCloseTo(q - ps, 9);
          if (budget > 0.5) tightest = Math.max(tightest, (q - ps) / budget);
          const goesOn = id !== EOS && drawn.length + 1 < LENGTH;
          mass += Math.exp(lp) * (goesOn ? await visit(q, ps, [...drawn, id]) : 1);
        }
        return mass;
      };
      // These are all the answers there are, and those that break off.
      expect(await visit(0, 0, [])).toBeCloseTo(1, 9);
      expect(driver.openCount).toBe(0);
    }),
    { numRuns: 150, examples: TEMPTING },
  );
  expect(tightest).toBeGreaterThan(1 - 1e-9);
});

test('an answer whose mask leaves nothing that the safety expert can say breaks off', async () => {
  // The safety expert cannot say b; the other one wants nothing else.
  const script: Script = (source) => (source === 'safety' ? [0, 0, Number.NEGATIVE_INFINITY, 0, 0] : [0, 0, 9, 0, 0]);
  const driver = new ScriptedExperts(script, { vocabSize: SIZE });
  const request: EngineRequest = {
    promptIds: PROMPT,
    maxTokens: LENGTH,
    stop: [],
    sampling: { key: seedKey(1), temperature: 1, topP: 1, allowedIds: [2] },
    line: OPEN_LINE,
  };
  const options = { vocabulary, proposal: PROPOSAL, contextLength: 96 };
  await expect(driveAnswer(driver, { request, options })).rejects.toMatchObject({ code: 'safety_row_unusable' });
});
