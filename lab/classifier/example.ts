/**
 * One prompt and what we know about it. A label's target is a probability to learn, or null if it
 * is unknown. Neither the loss nor the card's figures may use a null. A data set that names one
 * category does not rule out its neighbours.
 */
import { CATEGORIES, LABELS, type Label } from '#shared/line/categories.ts';

export type Split = 'train' | 'calibration' | 'heldout';

export type Example = {
  text: string;
  /** A source in the licence table. */
  source: string;
  split: Split;
  /** One per label, in the order of `LABELS`. */
  targets: readonly (number | null)[];
  /** Harmful in at least one of the 14 categories, but the source does not say which. */
  someHarm: boolean;
  /** How much the row counts in training. */
  weight: number;
  /** Benign, but full of words that harmful prompts use too. */
  scary: boolean;
};

/**
 * For each label, the other labels that its prompts often deserve too. If a source gives a prompt
 * only one label, these stay unknown instead of becoming wrong negatives.
 */
const NEIGHBOURS: Record<Label, readonly Label[]> = {
  animal_abuse: ['violence'],
  child_abuse: ['sexual', 'violence', 'privacy'],
  cybercrime: ['privacy', 'financial_crime'],
  dangerous_practices: ['drugs_weapons', 'self_harm', 'violence', 'misinformation'],
  discrimination: ['hate'],
  drugs_weapons: ['dangerous_practices', 'violence', 'extremism'],
  extremism: ['hate', 'violence', 'drugs_weapons'],
  financial_crime: ['cybercrime', 'misinformation', 'privacy'],
  hate: ['discrimination', 'violence', 'extremism'],
  misinformation: ['financial_crime', 'hate', 'dangerous_practices'],
  privacy: ['cybercrime', 'violence', 'financial_crime'],
  self_harm: ['dangerous_practices'],
  sexual: ['child_abuse', 'privacy'],
  violence: ['hate', 'extremism', 'dangerous_practices', 'animal_abuse', 'child_abuse'],
  // Jailbreaks are written to carry a harmful question, and public ones often do.
  jailbreak: CATEGORIES,
};

/**
 * Targets for a prompt with these labels: 1 (or `value`) for the labels, null for their neighbours
 * and for `unknown`, 0 for the rest.
 */
export function targetsOf(
  labels: readonly Label[],
  { value = 1, unknown = [] }: { value?: number; unknown?: readonly Label[] } = {},
): (number | null)[] {
  const open = new Set([...labels.flatMap((label) => NEIGHBOURS[label]), ...unknown]);
  return LABELS.map((label) => (labels.includes(label) ? value : open.has(label) ? null : 0));
}

export const BENIGN: readonly (number | null)[] = targetsOf([]);
/** For rows with `someHarm`: no category is known, but the prompt is not a jailbreak. */
export const HARM_UNKNOWN: readonly (number | null)[] = targetsOf([], { unknown: CATEGORIES });
