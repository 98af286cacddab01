/**
 * Both heads over the driver that serves experts: to it, a head is an expert of the same base, with
 * a LoRA of its own or none. So it reads whatever weights a bundle has, quantised ones included.
 */

import { SCORE_KINDS, type ScoreKind } from '#shared/protocol/score.ts';
import { OnnxExperts } from '../engine/onnx-experts.ts';
import type { ServedBundle } from '../model/load-bundle.ts';
import type { ExpertRole } from '../model/manifest.ts';
import { NO_ROUTERS } from '../model/router.ts';
import type { ScoreHead, ScoreHeads } from '../model/score-heads.ts';

export type Scores = Record<ScoreKind, number>;

export type HeadScorer = {
  /**
   * @param ids a whole conversation, with the end token of its answer
   * @returns what each head gives it; NaN if a hidden state is broken
   */
  score(ids: readonly number[]): Promise<Scores>;
  dispose(): Promise<void>;
};

/** The driver knows two roles. They say nothing here but which head is which. */
const ROLES = { reward: 'helpfulness', cost: 'safety' } as const satisfies Record<ScoreKind, ExpertRole>;
/** Tokens in one run: more of them need more memory at once, and are no faster. */
const RUN_TOKENS = 256;

export async function openHeadScorer(
  bundle: Pick<ServedBundle, 'config' | 'base'>,
  heads: ScoreHeads,
  { threads }: { threads: number },
): Promise<HeadScorer> {
  const { config, base } = bundle;
  const asExpert = (kind: ScoreKind) => {
    const { rank, alpha, modules } = heads[kind];
    return { name: kind, role: ROLES[kind], rank, alpha, modules };
  };
  const experts = await OnnxExperts.create(
    // The safety expert comes first, as in every bundle.
    { config, base, experts: [asExpert('cost'), asExpert('reward')], routers: NO_ROUTERS, probe: null },
    { threads, provider: 'cpu' },
  );
  return {
    async score(ids) {
      const sequences = SCORE_KINDS.map((kind) => experts.open(ROLES[kind]));
      try {
        let hidden: (Float32Array | null)[] = [];
        for (let at = 0; at < ids.length; at += RUN_TOKENS) {
          const part = ids.slice(at, at + RUN_TOKENS);
          const isLast = at + RUN_TOKENS >= ids.length;
          const want = isLast ? { hidden: true } : { positions: 0 };
          const outputs = experts.append(sequences.map((sequence) => ({ sequence, ids: part, want })));
          hidden = (await Promise.all(outputs)).map((output) => output.hidden);
        }
        const found = SCORE_KINDS.map((kind, i) => [kind, scoreOf(heads[kind], hidden[i] ?? null)] as const);
        // Both kinds are there.
        return Object.fromEntries(found) as Scores;
      } finally {
        for (const sequence of sequences) experts.close(sequence);
      }
    },
    dispose: () => experts.dispose(),
  };
}

/** weight . h + bias, with h [d] after the last token. */
function scoreOf({ weight, bias }: ScoreHead, hidden: Float32Array | null): number {
  if (hidden === null) return Number.NaN;
  return hidden.reduce((sum, x, i) => sum + x * weight[i]!, bias);
}
