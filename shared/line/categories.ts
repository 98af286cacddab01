/**
 * What the classifier tells apart: 14 harm categories and `jailbreak`, an attempt to talk the model
 * out of its line. The categories follow the taxonomy of BeaverTails (arXiv 2307.04657), with
 * `cybercrime` and `dangerous_practices` in place of its two vaguest ones. A prompt may fall into
 * several. A benign prompt falls into none.
 */
export const CATEGORIES = [
  'animal_abuse',
  'child_abuse',
  'cybercrime',
  'dangerous_practices',
  'discrimination',
  'drugs_weapons',
  'extremism',
  'financial_crime',
  'hate',
  'misinformation',
  'privacy',
  'self_harm',
  'sexual',
  'violence',
] as const;
export type Category = (typeof CATEGORIES)[number];

/**
 * The harm categories and `jailbreak`: the labels a policy may name, in the order of the
 * classifier's columns.
 */
export const LABELS = [...CATEGORIES, 'jailbreak'] as const;
export type Label = (typeof LABELS)[number];

/**
 * What the classifier gives a probability for: each label, and harm of any kind. `any_harm` has its
 * own calibration. Harm that is spread over several categories can stay below the ramp of each, but
 * it is still harm.
 */
export const JUDGEMENTS = [...LABELS, 'any_harm'] as const;
export type Judgement = (typeof JUDGEMENTS)[number];

/**
 * What a policy may have rules for: the judgements and two more signals. `unread` is 1 if part of
 * the text lies beyond what the classifier reads, else 0. `uncertain` is how likely it is that part
 * of the text is in a language the classifier does not know.
 */
export const SIGNALS = [...JUDGEMENTS, 'unread', 'uncertain'] as const;
export type Signal = (typeof SIGNALS)[number];
