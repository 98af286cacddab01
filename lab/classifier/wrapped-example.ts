/** Examples made by putting one text into another, and the targets of theirs that stay unknown. */
import { CATEGORIES, LABELS, type Label } from '#shared/line/categories.ts';
import { type Example, type Split, targetsOf } from './example.ts';
import { OWN_SOURCE } from './licences.ts';

type Wrapped = { split: Split; inside: Label | null; attack: boolean };

/**
 * `jailbreak` has all categories as neighbours, because a jailbreak may hide any of them. Here we
 * know which one it hides.
 */
export function toExample(text: string, { split, inside, attack }: Wrapped): Example {
  const known = targetsOf(inside === null ? [] : [inside]);
  const targets = LABELS.map((label, k) => (label === 'jailbreak' && attack ? 1 : known[k]!));
  return { text, source: OWN_SOURCE, split, targets, someHarm: false, weight: 1, scary: false };
}

/**
 * An attack without a question may be trying to get a password or a policy. We do not know whether
 * that is harm in its own right.
 */
export function withOpenCategories(example: Example): Example {
  return { ...example, targets: example.targets.map((target, k) => (k < CATEGORIES.length ? null : target)) };
}

/** Hiding a harmful question may be an attack or a habit. We do not know which. */
export function withOpenJailbreak(example: Example): Example {
  return { ...example, targets: example.targets.map((target, k) => (LABELS[k] === 'jailbreak' ? null : target)) };
}

/**
 * In training, the model reads a text as it stands, and the letters of a code must not teach any
 * category. In the other splits, the edge decodes the text, and we judge what it finds.
 */
export function unreadInTraining(example: Example): Example {
  return example.split === 'train' ? withOpenCategories(example) : example;
}
