/**
 * MidPO's margins (arXiv 2506.02460, section 3.1): how much clearer than not at all a model of the preferred dimension tells a pair apart,
 *
 *   safety        max(0, c(y_l) - c(y_w))     c the cost model: higher is worse
 *   helpfulness   max(0, r(y_w) - r(y_l))     r the reward model
 *
 * clipped at 0, so that a pair on which model and label disagree is plain DPO and not turned round.
 */
import type { ExpertRole } from '#gpu-backend/model/manifest.ts';
import type { PairRows } from '../data/encode-pairs.ts';
import type { ScoreKind } from '../graphs/score-graph.ts';
import type { PairScores } from './pair-set.ts';
import type { Scorer } from './scorer.ts';

export const MARGIN_KIND: Record<ExpertRole, ScoreKind> = { safety: 'cost', helpfulness: 'reward' };

export type MarginModel = {
  /** For the settings of a run. */
  name: string;
  scale: number;
  /** By the pairs' places in the list, in nats. A pair too long to be scored has none. */
  of: (pairs: readonly PairRows[], label: string) => Promise<Map<number, number>>;
};

export function marginModel(scorer: Scorer, { name, scale }: { name: string; scale: number }): MarginModel {
  return {
    name,
    scale,
    of: async (pairs, label) => clippedMargins(scorer.kind, await scorer.score(pairs, label), scale),
  };
}

export function clippedMargins(kind: ScoreKind, scores: PairScores, scale: number): Map<number, number> {
  const direction = kind === 'reward' ? 1 : -1;
  return new Map(
    [...scores].map(([item, [chosen, rejected]]) => [item, scale * Math.max(0, direction * (chosen - rejected))]),
  );
}
