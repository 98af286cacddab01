/**
 * The settings of the probe's training. What is chosen on dev is listed here as candidates; the
 * rest was set once.
 */

/** How deep the candidate layers are, as shares of all layers: 15, 19, 23 and 27 of 30. */
const DEPTHS = [0.5, 0.635, 0.77, 0.9];

export const RECIPE = {
  /** Decides the frames and wordings of our own prompts, as for the edge's classifier. */
  seed: 1,
  /**
   * The share of the small world's questions that is used. They are alike and there are very many:
   * in full, they are most of the training mass, and other prompts are judged worse (HarmBench-like
   * ROC-AUC .758 with all of them, .797 with a fifth, by the edge's features).
   */
  worldShare: 0.2,
  /** The most prompts of each side of a source that may only measure. */
  mostMeasured: 300,
  /** Longer prompts are left out, and counted. */
  mostTokens: 512,
  /** In tokens. */
  windows: [32, 64, 128],
  /** The window while layers and pooling are chosen. Most prompts are shorter. */
  firstWindow: 64,
  /** Strengths of the pull towards 0, for a loss that is a mean. */
  l2: [0.003, 0.01, 0.03, 0.1],
  /**
   * AdamW over all rows at once. On 3,000 made-up rows of 1,152 features, the loss is then within
   * half a per cent of that after 3,000 steps at the weakest pull, and the ROC-AUC is the same.
   */
  steps: 250,
  learningRate: 0.02,
} as const;

export type ProbeRecipe = {
  -readonly [K in keyof typeof RECIPE]: (typeof RECIPE)[K] extends readonly number[] ? readonly number[] : number;
};

/** Counted from 0, without repeats. */
export function candidateLayers(count: number): number[] {
  return [...new Set(DEPTHS.map((depth) => Math.min(count - 1, Math.round(depth * count))))];
}
