/**
 * Margins of preference pairs, from a model of one dimension. A margin says how much better the
 * chosen answer is in that dimension.
 *
 *   of the cost model     c(y_l) - c(y_w)     higher costs are worse
 *   of the reward model   r(y_w) - r(y_l)
 *
 * There are two rules:
 *
 *   spe      MidPO's (arXiv 2506.02460, section 3.1): uses the preferred dimension's own model,
 *            clipped at 0. If model and label disagree on a pair, the margin is 0. The pair is then
 *            plain DPO, and the margin does not work against the label.
 *   modpo    MODPO's (arXiv 2310.03708, eq. 9): uses the other dimension's model, with its sign.
 *            For the helpfulness expert: the less safe the chosen answer is, compared with the
 *            rejected one, the lower the margin, and the less it must be preferred.
 */
import type { ExpertRole } from '#gpu-backend/model/manifest.ts';
import type { PairRows } from '../data/encode-pairs.ts';
import type { ScoreKind } from '../graphs/score-graph.ts';
import type { Parent } from './assert-same-model.ts';
import type { PairScores } from './pair-set.ts';
import type { TrainedScorer } from './scorer.ts';

export const MARGIN_RULES = ['spe', 'modpo'] as const;
export type MarginRule = (typeof MARGIN_RULES)[number];

const OWN_KIND: Record<ExpertRole, ScoreKind> = { safety: 'cost', helpfulness: 'reward' };
const OTHER_KIND: Record<ExpertRole, ScoreKind> = { safety: 'reward', helpfulness: 'cost' };

/** Returns the kind of model that a role's margins come from. */
export function marginKind(role: ExpertRole, rule: MarginRule): ScoreKind {
  return (rule === 'modpo' ? OTHER_KIND : OWN_KIND)[role];
}

export type MarginModel = {
  /** The name in a run's settings. */
  name: string;
  rule: MarginRule;
  scale: number;
  /** The run that the model comes from. */
  run: Parent;
  /**
   * Returns margins in nats, by the pairs' index. A pair that is too long to score has none. The
   * scores are kept in `folder`. Afterwards the model's memory is given back.
   */
  of: (pairs: readonly PairRows[], options: { label: string; folder: string }) => Promise<Map<number, number>>;
};

export function marginModel(
  scorer: TrainedScorer,
  { name, rule, scale }: { name: string; rule: MarginRule; scale: number },
): MarginModel {
  return {
    name,
    rule,
    scale,
    run: { dir: scorer.dir, digest: scorer.digest },
    of: async (pairs, { label, folder }) => {
      const scores = await scorer.score(pairs, label, folder);
      await scorer.release();
      return margins(scores, { kind: scorer.kind, rule, scale });
    },
  };
}

/** Computes margins from scores `[chosen, rejected]`. */
export function margins(
  scores: PairScores,
  { kind, rule, scale }: { kind: ScoreKind; rule: MarginRule; scale: number },
): Map<number, number> {
  const direction = kind === 'reward' ? 1 : -1;
  const lowest = rule === 'spe' ? 0 : Number.NEGATIVE_INFINITY;
  return new Map(
    [...scores].map(([item, [chosen, rejected]]) => [item, scale * Math.max(lowest, direction * (chosen - rejected))]),
  );
}
