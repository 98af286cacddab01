/**
 * The law of truncated rows, from a driver's rows to the tokens that a client gets. Nothing in
 * between may break it.
 */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { seedKey } from '#shared/gate/index.ts';
import * as oracle from '#shared/gate/testing/oracle.ts';
import { tree } from '#shared/gate/testing/tree.ts';
import { OPEN_LINE, RULES, type Rule } from '#shared/line/line.ts';
import { type Script, ScriptedExperts } from './scripted-experts.ts';
import { schedule } from './testing/schedule.ts';

const SIZE = 5;
const LENGTH = 3;
const ANSWERS = 40;
const EOS = 0;
const PROMPT = [1, 2];

/**
 * Every token except the end token is a letter, so an answer says something from its first token
 * on.
 */
const bytesOf = (id: number) => (id === EOS ? undefined : Uint8Array.of(96 + id));
const vocabulary = { eos: [EOS], banned: [], bytesOf };

type Case = {
  seed: number;
  k: number;
  rule: Rule;
  budget: number;
  floor: number;
  temperature: number;
  topP: number;
};

const given: fc.Arbitrary<Case> = fc.record({
  seed: fc.nat(),
  k: fc.integer({ min: 1, max: SIZE }),
  rule: fc.constantFrom(...RULES),
  budget: fc.double({ min: 0, max: 3, noNaN: true }),
  floor: fc.double({ min: 0, max: 1, noNaN: true }),
  temperature: fc.constantFrom(0, 0.5, 1, 1.5),
  topP: fc.constantFrom(0.6, 0.9, 1),
});

/** Experts that disagree, with a small budget, so that some answers in every run use all of it. */
const TEMPTING = [1, 2, 3, 4, 5, 6, 7, 8].map((seed): [Case] => [
  { seed, k: 3, rule: 'geometric', budget: 0.6, floor: 0, temperature: 1, topP: 1 },
]);

test('q(y) <= e^K * p_s~(y) for every answer, where p_s~ is the whole safety expert under top-k = k, whatever joins and fails', async () => {
  let tightest = 0;
  let ended = 0;
  await fc.assert(
    fc.asyncProperty(given, async ({ seed, k, rule, budget, floor, temperature, topP }) => {
      const experts = tree(seed, { size: SIZE });
      const after = (ids: readonly number[]) => experts(ids.slice(PROMPT.length));
      const script: Script = (source, ids) => {
        const { safetyLogits, helpfulLogits, proposal } = after(ids);
        if (source === 'safety') return safetyLogits;
        // Now and then the other expert fails, and its answer goes on without it.
        if (proposal > 0.9) throw new Error('connection lost');
        return helpfulLogits;
      };
      const driver = new ScriptedExperts(script, { vocabSize: SIZE, topK: k });
      const { scheduler, tokens, of, run } = schedule(driver, {
        vocabulary,
        proposal: 0.2,
        contextLength: 96,
        limits: { maxRows: 30 },
      });
      for (let id = 0; id < ANSWERS; id++) {
        scheduler.submit(id, {
          promptIds: PROMPT,
          maxTokens: LENGTH,
          stop: [],
          sampling: { key: seedKey(`${seed}/${id}`), temperature, topP },
          line: { ...OPEN_LINE, rule, floor, budget },
        });
      }
      await run();
      expect(driver.openCount).toBe(0);

      const answers = new Map<string, { q: number; ps: number }>();
      for (let id = 0; id < ANSWERS; id++) {
        let [logQ, logPs] = [0, 0];
        const drawn: number[] = [];
        for (const { id: token, lp, spent } of tokens(id)) {
          const mask = new Set(drawn.length === 0 ? [EOS] : []);
          const top = oracle.top(oracle.softmax(experts(drawn).safetyLogits), k);
          // Greedy decoding draws nothing at random. It spends by how much the safety expert finds
          // its own favourite likelier than the chosen token.
          const ps = oracle.shape(
            top,
            temperature === 0 ? { temperature: 1, topP: 1, mask } : { temperature, topP, mask },
          );
          logQ += temperature === 0 ? Math.log(Math.max(...ps)) : lp!;
          logPs += Math.log(ps[token]!);
          drawn.push(token);
          expect(spent).toBeCloseTo(logQ - logPs, 9);
          expect(logQ - logPs).toBeLessThanOrEqual(budget + 1e-9);
        }
        // Only one thing breaks an answer off: its first token may not end it, but the safety
        // expert allows nothing else.
        if (of(id).error) expect([of(id).error!.code, drawn]).toEqual(['expert_failed', []]);
        else ended++;
        if (drawn.length > 0) answers.set(drawn.join(), { q: Math.exp(logQ), ps: Math.exp(logPs) });
        if (budget > 0.5) tightest = Math.max(tightest, (logQ - logPs) / budget);
      }
      if (temperature === 0) return;
      // Adds up by how much drawn answers are likelier than allowed. The sum must be zero.
      const over = [...answers.values()].reduce((sum, { q, ps }) => sum + Math.max(0, q - Math.exp(budget) * ps), 0);
      expect(over).toBeLessThanOrEqual(1e-12);
    }),
    { numRuns: 120, examples: TEMPTING },
  );
  // Some answers do reach the budget.
  expect(tightest).toBeGreaterThan(1 - 1e-9);
  expect(ended).toBeGreaterThan(1000);
});
