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
  /** With a tenth of this, the categories begin to learn single prompts by heart. */
  l2: 2e-3,
};

/**
 * A prompt counts as flagged if any label is above this. Most of the demo tenants' ramps begin
 * here.
 */
export const FLAGGED = 0.5;

/**
 * Where the preset policies' ramp on `any_harm` begins, and where it is full. We chose both on the
 * contrast templates that are set aside for such choices.
 */
export const ANY_HARM_RAMP = { from: 0.8, full: 0.97 };

/**
 * How many ordinary prompts each prompt of a pair counts as. With a larger weight, the model tells
 * pairs apart better, but tells plain harm from harmless prompts worse.
 */
export const CONTRAST_WEIGHT = 2;
/** Jailbreak pairs have a weight of their own, because jailbreaks have many other sources too. */
export const JAILBREAK_CONTRAST_WEIGHT = 2;
