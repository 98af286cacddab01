/**
 * The law of the budget when the experts read prompts of different lengths: every answer of a small
 * vocabulary, token by token through driver, answer and gate.
 */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { NO_WEIGHTS, seedKey } from '#shared/gate/index.ts';
import * as oracle from '#shared/gate/testing/oracle.ts';
import { tree } from '#shared/gate/testing/tree.ts';
import { OPEN_LINE, RULES, type Rule } from '#shared/line/line.ts';
import type { AnswerState } from './answer-state.ts';
import type { EngineRequest } from './engine.ts';
import { type Script, ScriptedExperts } from './scripted-experts.ts';
import { driveAnswer } from './testing/drive-answer.ts';

const SIZE = 4;
const LENGTH = 3;
/** Draws at each beginning of an answer: a token of probability 0.1 is missed once in 10^4. */
const DRAWS = 90;
const PROMPT = [1, 2];
const ROW_PROMPTS = { safety: [3, 3, 0, 1, 2], helpfulness: [2, 1, 2] };

/** No token ends an answer, and each one is a letter. */
const vocabulary = { eos: [SIZE], banned: [], bytesOf: (id: number) => Uint8Array.of(97 + id) };

type Case = { seed: number; rule: Rule; budget: number; floor: number; temperature: number; topP: number };

const given: fc.Arbitrary<Case> = fc.record({
  seed: fc.nat(),
  rule: fc.constantFrom(...RULES),
  budget: fc.double({ min: 0, max: 3, noNaN: true }),
  floor: fc.double({ min: 0, max: 1, noNaN: true }),
  temperature: fc.constantFrom(0.5, 1, 1.5),
  topP: fc.constantFrom(0.6, 0.9, 1),
});

/** Experts that disagree, with a small budget. */
const TEMPTING = [1, 2, 3].map((seed): [Case] => [
  { seed, rule: 'geometric', budget: 0.6, floor: 0, temperature: 1, topP: 1 },
]);

test('q(y) <= e^K * p_s~(y) for every answer, where p_s~ is the safety expert under its own prompt', async () => {
  let tightest = 0;
  let least = 1;
  await fc.assert(
    fc.asyncProperty(given, async ({ seed, rule, budget, floor, temperature, topP }) => {
      const experts = tree(seed, { size: SIZE });
      const script: Script = (source, ids) => {
        const own = ROW_PROMPTS[source as keyof typeof ROW_PROMPTS];
        if (own.some((id, i) => ids[i] !== id)) throw new Error(`${source} read another prompt: ${ids}`);
        const { safetyLogits, helpfulLogits } = experts(ids.slice(own.length));
        return source === 'safety' ? safetyLogits : helpfulLogits;
      };
      const driver = new ScriptedExperts(script, { vocabSize: SIZE });
      const request = (key: string, state?: AnswerState): EngineRequest => ({
        promptIds: PROMPT,
        rowPrompts: ROW_PROMPTS,
        maxTokens: LENGTH,
        stop: [],
        sampling: { key: seedKey(`${seed}/${key}`), temperature, topP },
        line: { ...OPEN_LINE, rule, floor, budget },
        ...(state && { resume: state }),
      });
      /** The tokens seen after these, with their probability under the gate and the new state. */
      const stepsAfter = async (state?: AnswerState) => {
        const seen = new Map<number, { lp: number; state: AnswerState }>();
        for (let draw = 0; draw < DRAWS; draw++) {
          const options = { vocabulary, proposal: 0.2, contextLength: 96 };
          const one = { request: request(`${state?.ids}/${draw}`, state), options, atMost: 1 };
          const { events, state: after } = await driveAnswer(driver, one);
          const [token] = events;
          if (token?.type !== 'token') throw new Error('a step gives a token');
          seen.set(token.id, { lp: token.lp!, state: { ...after, weights: NO_WEIGHTS } });
        }
        return seen;
      };
      const visit = async (logQ: number, logPs: number, state?: AnswerState): Promise<void> => {
        const drawn = [...(state?.ids ?? [])];
        const ps = oracle.shape(oracle.softmax(experts(drawn).safetyLogits), { temperature, topP, mask: new Set() });
        const steps = await stepsAfter(state);
        const mass = [...steps.values()].reduce((sum, { lp }) => sum + Math.exp(lp), 0);
        expect(mass).toBeLessThan(1 + 1e-9);
        least = Math.min(least, mass);
        for (const [id, step] of steps) {
          const [q, reference] = [logQ + step.lp, logPs + Math.log(ps[id]!)];
          expect(q - reference).toBeLessThanOrEqual(budget + 1e-9);
          expect(step.state.spent).toBeCloseTo(q - reference, 9);
          if (budget > 0.5) tightest = Math.max(tightest, (q - reference) / budget);
          if (drawn.length + 1 < LENGTH) await visit(q, reference, step.state);
        }
      };
      await visit(0, 0);
      expect(driver.openCount).toBe(0);
    }),
    { numRuns: 12, examples: TEMPTING },
  );
  // Some answers reach the budget, and no likely token was missed.
  expect(tightest).toBeGreaterThan(1 - 1e-9);
  expect(least).toBeGreaterThan(0.8);
});
