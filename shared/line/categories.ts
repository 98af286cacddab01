/**
 * What the classifier tells apart: 14 harm categories (after the taxonomy of BeaverTails, arXiv 2307.04657, with
 * `cybercrime` and `dangerous_practices` in place of its two vaguest ones), and `jailbreak`, an attempt to talk the
 * model out of its line. A prompt may carry several; benign is carrying none.
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

/** The harm categories and `jailbreak`: the labels a policy may name, in the order of the classifier's columns. */
export const LABELS = [...CATEGORIES, 'jailbreak'] as const;
export type Label = (typeof LABELS)[number];

/**
 * What the classifier gives a probability of: each label, and harm of any category. `any_harm` has a calibration of its own:
 * harm that is spread over several categories stays below each one's ramp and still is harm.
 */
export const JUDGEMENTS = [...LABELS, 'any_harm'] as const;
export type Judgement = (typeof JUDGEMENTS)[number];

/**
 * What a policy may price. Beside the judgements: `unread`, 1 where a part of the text lies beyond what is read, else 0; and
 * `uncertain`, how sure it is that a part of the text is in a language the classifier does not know.
 */
export const SIGNALS = [...JUDGEMENTS, 'unread', 'uncertain'] as const;
export type Signal = (typeof SIGNALS)[number];
