/**
 * What it costs an answer that engines tell only the k likeliest tokens, measured on some
 * questions: the mass that each expert's row leaves out, and how far the mixture can be from that
 * of whole rows (pairing-bound.ts). The budget's promise does not depend on it.
 */

import type { OwnRow } from '#shared/gate/pair-rows.ts';
import { pairingBound } from '#shared/gate/pairing-bound.ts';
import type { Rule } from '#shared/line/line.ts';
import type { ExpertRole } from '../model/manifest.ts';
import type { RemoteEngine } from './ask-engine.ts';

export type TruncationCost = {
  /** At how many positions it was measured. */
  positions: number;
  /** The mass left out, 0..1. */
  left: Record<ExpertRole, { mean: number; most: number }>;
  /** Total variation of the mixture, 0..1, at most. */
  moves: Record<Rule, { mean: number; most: number }>;
};

/** After each prompt, and after each of so many tokens that the safety expert says then. */
const TOKENS = 8;

/**
 * @param prompts of each question, as each expert reads it
 * @param weight of the safety expert in the mixture
 */
export async function truncationCost(
  engines: Record<ExpertRole, RemoteEngine>,
  {
    prompts,
    weight,
    signal,
  }: { prompts: readonly Record<ExpertRole, readonly number[]>[]; weight: number; signal: AbortSignal },
): Promise<TruncationCost> {
  const pairs: Record<ExpertRole, OwnRow>[] = [];
  for (const prompt of prompts) {
    const said: number[] = [];
    for (let i = 0; i <= TOKENS; i++) {
      const ask = async (role: ExpertRole) => {
        const ids = [...prompt[role], ...said];
        const [row] = await engines[role].rows(ids, { affinity: prompt[role].join(), cacheSalt: null, signal });
        return row!;
      };
      const [safety, helpfulness] = await Promise.all([ask('safety'), ask('helpfulness')]);
      pairs.push({ safety, helpfulness });
      said.push(safety.ids[safety.logprobs.indexOf(Math.max(...safety.logprobs))]!);
    }
  }
  const over = (of: (pair: Record<ExpertRole, OwnRow>) => number) => {
    const all = pairs.map(of);
    return { mean: all.reduce((sum, x) => sum + x, 0) / all.length, most: Math.max(...all) };
  };
  const moves = (rule: Rule) => over(({ safety, helpfulness }) => pairingBound(safety, helpfulness, { weight, rule }));
  return {
    positions: pairs.length,
    left: { safety: over(({ safety }) => safety.left), helpfulness: over(({ helpfulness }) => helpfulness.left) },
    moves: { geometric: moves('geometric'), arithmetic: moves('arithmetic') },
  };
}
