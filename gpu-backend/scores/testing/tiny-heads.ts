/** Score heads for the tiny bundle: its experts' LoRAs of another seed, and a wave as weights. */
import { tinyBundle } from '../../model/fixtures/tiny-bundle.ts';
import type { ScoreHead, ScoreHeads } from '../../model/score-heads.ts';

const HIDDEN = 32;

export function tinyHeads({ seed = 7 }: { seed?: number } = {}): ScoreHeads {
  const [first, second] = tinyBundle({ seed, rank: 3, targets: ['self_attn.q_proj', 'mlp.down_proj'] }).experts;
  const head = ({ rank, alpha, modules }: NonNullable<typeof first>, phase: number): ScoreHead => ({
    ...{ rank, alpha, modules },
    weight: Float32Array.from({ length: HIDDEN }, (_, i) => Math.sin(phase + i) / 4),
    bias: phase / 10,
  });
  // A tiny bundle has two experts.
  return { reward: head(first!, seed), cost: head(second!, -seed) };
}
