/** Examples made by putting one text into another, and what stays open about them. */
import { CATEGORIES, LABELS, type Label } from '#shared/line/categories.ts';
import { type Example, type Split, targetsOf } from './example.ts';
import { OWN_SOURCE } from './licences.ts';

type Wrapped = { split: Split; inside: Label | null; attack: boolean };

/**
 * `jailbreak` has all categories as neighbours, because any may hide in one. Here we know which one
 * does.
 */
export function toExample(text: string, { split, inside, attack }: Wrapped): Example {
  const known = targetsOf(inside === null ? [] : [inside]);
  const targets = LABELS.map((label, k) => (label === 'jailbreak' && attack ? 1 : known[k]!));
  return { text, source: OWN_SOURCE, split, targets, someHarm: false, weight: 1, scary: false };
}

/**
 * An attack without a question may be after a password or a policy. Nobody said whether that is
 * harm in its own right.
 */
export function withOpenCategories(example: Example): Example {
  return { ...example, targets: example.targets.map((target, k) => (k < CATEGORIES.length ? null : target)) };
}

/** Hiding a harmful question may be an attack or a habit. We do not know which. */
export function withOpenJailbreak(example: Example): Example {
  return { ...example, targets: example.targets.map((target, k) => (LABELS[k] === 'jailbreak' ? null : target)) };
}

/**
 * Training reads a text as it stands, and the letters of a code must teach no category. Held out,
 * the edge decodes the text, and we judge that.
 */
export function unreadInTraining(example: Example): Example {
  return example.split === 'train' ? withOpenCategories(example) : example;
}
