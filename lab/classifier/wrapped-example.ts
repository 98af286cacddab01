/** Examples made by putting something into something else, and what stays open about them. */
import { CATEGORIES, LABELS, type Label } from '#shared/line/categories.ts';
import { type Example, type Split, targetsOf } from './example.ts';
import { OWN_SOURCE } from './licences.ts';

type Wrapped = { split: Split; inside: Label | null; attack: boolean };

/**
 * Jailbreak's neighbours are all categories, because one may hide in it; here we know what does.
 */
export function toExample(text: string, { split, inside, attack }: Wrapped): Example {
  const known = targetsOf(inside === null ? [] : [inside]);
  const targets = LABELS.map((label, k) => (label === 'jailbreak' && attack ? 1 : known[k]!));
  return { text, source: OWN_SOURCE, split, targets, someHarm: false, weight: 1, scary: false };
}

/**
 * An attack without a question may be after a password or a policy: nobody said whether that is a
 * harm of its own.
 */
export function withOpenCategories(example: Example): Example {
  return { ...example, targets: example.targets.map((target, k) => (k < CATEGORIES.length ? null : target)) };
}

/** To hide a harmful question may be an attack or a habit: nobody said. */
export function withOpenJailbreak(example: Example): Example {
  return { ...example, targets: example.targets.map((target, k) => (LABELS[k] === 'jailbreak' ? null : target)) };
}

/**
 * Training reads a text as it stands, and letters of a code shall teach no category; held out, the
 * edge decodes it and is judged.
 */
export function unreadInTraining(example: Example): Example {
  return example.split === 'train' ? withOpenCategories(example) : example;
}
