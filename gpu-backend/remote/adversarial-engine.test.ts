/**
 * The law of truncated rows under engines that are against us: they hide tokens, reorder them, tell
 * ties, fewer than k or other numbers than their model has, differently at every place. What the
 * safety engine tells is the reference, because nobody can know more of it. Under that, the budget
 * holds for every answer, without exception, with one position a question and with several.
 */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { seedKey } from '#shared/gate/index.ts';
import * as oracle from '#shared/gate/testing/oracle.ts';
import { tree } from '#shared/gate/testing/tree.ts';
import { OPEN_LINE, RULES, type Rule } from '#shared/line/line.ts';
import { ExpertDrafts } from '../engine/expert-drafts.ts';
import { ScriptedExperts } from '../engine/scripted-experts.ts';
import { schedule } from '../engine/testing/schedule.ts';
import type { ExpertRole } from '../model/manifest.ts';
import { RemoteEngine } from './ask-engine.ts';
import { RemoteExperts } from './remote-experts.ts';
import { SGLANG } from './sglang.ts';
import { PROTOCOLS, serveEngine, type Told } from './testing/engine-servers.ts';
import { VLLM } from './vllm.ts';

const SIZE = 6;
const LENGTH = 3;
const ANSWERS = 12;
const EOS = 0;
const PROMPT = [1, 2];
const vocabulary = {
  eos: [EOS],
  banned: [],
  bytesOf: (id: number) => (id === EOS ? undefined : Uint8Array.of(96 + id)),
};

type Case = {
  seed: number;
  k: number;
  positions: number;
  dialect: 'vllm' | 'sglang';
  rule: Rule;
  budget: number;
  floor: number;
  temperature: number;
  topP: number;
};

const given: fc.Arbitrary<Case> = fc.record({
  seed: fc.nat(),
  k: fc.integer({ min: 1, max: 4 }),
  positions: fc.integer({ min: 1, max: 4 }),
  dialect: fc.constantFrom('vllm', 'sglang'),
  rule: fc.constantFrom(...RULES),
  budget: fc.double({ min: 0, max: 3, noNaN: true }),
  floor: fc.double({ min: 0, max: 1, noNaN: true }),
  temperature: fc.constantFrom(0, 0.5, 1, 1.5),
  topP: fc.constantFrom(0.6, 1),
});

/** Small budgets and experts that disagree, so that some answers use all of theirs. */
const TEMPTING = [1, 2, 3, 4, 5, 6, 7, 8].map((seed): [Case] => {
  const more = { rule: 'geometric', floor: 0, temperature: 1, topP: 1 } as const;
  return [{ seed, k: 4, positions: 1 + (seed % 4), dialect: seed % 2 ? 'vllm' : 'sglang', budget: 0.51, ...more }];
});

/** The same number from 0 to 1 for the same text. */
function chance(text: string): number {
  let hash = 2166136261;
  for (const letter of text) hash = Math.imul(hash ^ letter.charCodeAt(0), 16777619);
  hash = Math.imul(hash ^ (hash >>> 15), 2246822519);
  return ((hash ^ (hash >>> 13)) >>> 0) / 2 ** 32;
}

/**
 * What an engine of this kind tells in the place of the truth, likeliest first. A safety engine's
 * rows can be ones: an answer would end at others, and test nothing.
 */
function distort(
  truth: readonly Told[],
  { seed, k, role, ids }: { seed: number; k: number; role: ExpertRole; ids: readonly number[] },
): Told[] {
  const about = `${seed} ${role} ${ids}`;
  const shuffled = truth.toSorted(([a], [b]) => chance(`${about} ${a}`) - chance(`${about} ${b}`));
  const kind = Math.floor(chance(about) * 6);
  const rest = chance(`${about} rest`);
  const unlikely = truth.slice(0, k).map(([id, lp]): Told => [id, 3 * lp - 2]);
  // Any k tokens, in any order.
  if (kind === 0) return possible(shuffled.slice(0, k), rest);
  // Without its favourite.
  if (kind === 1) return possible(truth.slice(1, k + 1), rest);
  // All alike.
  if (kind === 2) return shuffled.slice(0, k).map(([id]) => [id, Math.log(1 / SIZE)]);
  // Far surer of its favourite than it is.
  if (kind === 3) return possible(unlikely, rest);
  // Too few, or far too unlikely: counts as none. The safety expert's would end the answer.
  if (kind === 4 && role === 'helpfulness' && chance(`${about} few`) < 0.3) return truth.slice(0, k - 1);
  if (kind === 4 && role === 'helpfulness' && chance(`${about} few`) < 0.6) return unlikely;
  return truth.slice(0, k);
}

/**
 * These tokens as the likeliest of a distribution in which all others have one probability.
 *
 * @param rest that probability, as a share of the least likely one's
 */
function possible(told: readonly Told[], rest: number): Told[] {
  const weights = told.map(([, lp]) => Math.exp(lp));
  const others = (SIZE - told.length) * rest * Math.min(...weights);
  const total = weights.reduce((sum, weight) => sum + weight, others);
  return told.map(([id], i) => [id, Math.log(weights[i]! / total)]);
}

test('q(y) <= e^K * p_s~(y) for every answer, where p_s~ is what the safety engine tells', async () => {
  const places = new Map<string, Told[]>();
  let current: Case;
  // Both are asked about the experts of the case at hand.
  const behind = new ScriptedExperts(
    (source, ids) => {
      const { safetyLogits, helpfulLogits } = tree(current.seed, { size: SIZE })(ids.slice(PROMPT.length));
      return source === 'safety' ? safetyLogits : helpfulLogits;
    },
    { vocabSize: SIZE },
  );
  const serve = async (name: 'vllm' | 'sglang') => {
    const honest = PROTOCOLS[name]();
    return serveEngine(behind, {
      ...honest,
      answer: (body, next) =>
        honest.answer(body, async (role, ids) => {
          const told = distort(await next(role, ids), { ...current, role, ids });
          if (role === 'safety') places.set(ids.slice(PROMPT.length).join(), told);
          // The engine says its favourite first, whatever it tells of the others.
          return told.length > 0 ? told : [[1, -Infinity]];
        }),
    });
  };
  const servers = { vllm: await serve('vllm'), sglang: await serve('sglang') };
  let tightest = 0;
  let drawn = 0;
  await fc.assert(
    fc.asyncProperty(given, async (one) => {
      current = one;
      places.clear();
      const { seed, k, positions, dialect, rule, budget, floor, temperature, topP } = one;
      const engineOf = (model: ExpertRole) =>
        new RemoteEngine({
          ...{ dialect: dialect === 'vllm' ? VLLM : SGLANG, urls: [servers[dialect].url], model },
          ...{ topK: k, vocabSize: SIZE, timeoutMs: 600_000, apiKey: null },
        });
      const engines = { safety: engineOf('safety'), helpfulness: engineOf('helpfulness') };
      const experts = new RemoteExperts(engines, { vocabSize: SIZE, topK: k, positions });
      const { scheduler, tokens, run } = schedule(experts, {
        ...{ vocabulary, proposal: 0.2, contextLength: 96, limits: { maxRows: 30 } },
        expertDrafts: new ExpertDrafts(positions - 1, { costRatio: () => 1 }),
      });
      for (let id = 0; id < ANSWERS; id++) {
        const sampling = { key: seedKey(`${seed}/${id}`), temperature, topP };
        const line = { ...OPEN_LINE, rule, floor, budget };
        scheduler.submit(id, { promptIds: PROMPT, maxTokens: LENGTH, stop: [], sampling, line });
      }
      await run();
      await experts.dispose();

      const answers = new Map<string, { q: number; ps: number }>();
      for (let id = 0; id < ANSWERS; id++) {
        let [logQ, logPs] = [0, 0];
        const said: number[] = [];
        for (const { id: token, lp, spent } of tokens(id)) {
          const told = places.get(said.join())!;
          const row = Array.from({ length: SIZE }, (_, at) =>
            Math.exp(told.find(([other]) => other === at)?.[1] ?? -Infinity),
          );
          const mask = new Set(said.length === 0 ? [EOS] : []);
          const top = oracle.top(row, k);
          const shape = temperature === 0 ? { temperature: 1, topP: 1, mask } : { temperature, topP, mask };
          const ps = oracle.shape(top, shape);
          logQ += temperature === 0 ? Math.log(Math.max(...ps)) : lp!;
          logPs += Math.log(ps[token]!);
          said.push(token);
          drawn++;
          expect(spent).toBeCloseTo(logQ - logPs, 9);
          expect(logQ - logPs).toBeLessThanOrEqual(budget + 1e-9);
        }
        if (said.length > 0) answers.set(said.join(), { q: Math.exp(logQ), ps: Math.exp(logPs) });
        if (budget > 0.5) tightest = Math.max(tightest, (logQ - logPs) / budget);
      }
      if (temperature === 0) return;
      // Adds up by how much drawn answers are likelier than allowed. The sum must be zero.
      const over = [...answers.values()].reduce((sum, { q, ps }) => sum + Math.max(0, q - Math.exp(budget) * ps), 0);
      expect(over).toBeLessThanOrEqual(1e-12);
    }),
    { numRuns: 60, examples: TEMPTING, endOnFailure: true },
  );
  for (const { close } of Object.values(servers)) await close();
  // Some answers do reach the budget, and most are drawn to their end.
  expect(tightest).toBeGreaterThan(1 - 1e-9);
  expect(drawn).toBeGreaterThan(1200);
});
