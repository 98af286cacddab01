/** The settings of the shipped classifier. Another seed, epoch count or rate moves the figures by a few thousandths. */
export const RECIPE = {
  seed: 1,
  /** 65,536 rows of sixteen bytes: one megabyte, which fits the smallest Worker plan. */
  bits: 16,
  epochs: 8,
  learningRate: 0.2,
  /** Ten times less and the categories begin to learn single prompts by heart. */
  l2: 1e-3,
};

/** A prompt counts as flagged when any label is above this, where most of the demo tenants' ramps begin. */
export const FLAGGED = 0.5;
