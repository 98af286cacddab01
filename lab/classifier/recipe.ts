/**
 * The settings of the shipped classifier. Another seed, number of epochs or learning rate moves the
 * figures by a few thousandths.
 */
export const RECIPE = {
  seed: 1,
  /**
   * 131,072 rows of sixteen bytes make two megabytes, or 1.2 gzipped. The smallest Worker plan
   * allows three.
   */
  bits: 17,
  epochs: 8,
  learningRate: 0.2,
  /** With ten times less, the categories begin to learn single prompts by heart. */
  l2: 2e-3,
};

/**
 * A prompt counts as flagged if any label is above this. Most of the demo tenants' ramps begin
 * here.
 */
export const FLAGGED = 0.5;

/**
 * Where the preset policies' ramp on `any_harm` begins, and where it is full. Both were chosen on
 * the contrast templates for choosing.
 */
export const ANY_HARM_RAMP = { from: 0.8, full: 0.97 };

/**
 * How many ordinary prompts each prompt of a pair counts as. A larger weight tells pairs apart
 * better, but plain harm from the harmless worse.
 */
export const CONTRAST_WEIGHT = 2;
/** A weight of its own, since attacks have many other sources too. */
export const JAILBREAK_CONTRAST_WEIGHT = 2;
