/**
 * The settings of the shipped classifier. Another seed, epoch count or rate moves the figures by a
 * few thousandths.
 */
export const RECIPE = {
  seed: 1,
  /**
   * 131,072 rows of sixteen bytes: two megabytes, 1.2 gzipped, of the three that the smallest
   * Worker plan allows.
   */
  bits: 17,
  epochs: 8,
  learningRate: 0.2,
  /** Ten times less and the categories begin to learn single prompts by heart. */
  l2: 2e-3,
};

/**
 * A prompt counts as flagged when any label is above this, where most of the demo tenants' ramps
 * begin.
 */
export const FLAGGED = 0.5;

/**
 * Where the preset policies' ramp on `any_harm` begins and where it is full: chosen on the contrast
 * templates for choosing.
 */
export const ANY_HARM_RAMP = { from: 0.8, full: 0.97 };

/**
 * A pair of prompts counts as this many ordinary ones each: more tells pairs apart better, and
 * plain harm from the harmless worse.
 */
export const CONTRAST_WEIGHT = 2;
/** Attacks have many sources of their own. */
export const JAILBREAK_CONTRAST_WEIGHT = 2;
