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
