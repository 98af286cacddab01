/**
 * What the disguises of attacks.ts do to the shipped model. Of the harmful prompts that it flags
 * undisguised, how many does it still flag? Of the harmless ones that it does not flag undisguised,
 * how many does it now flag? We measure each disguise twice on the same weights: with the defences
 * against it off, and with all of them on. Only harm counts here, not what the use of a code says
 * about its sender.
 */

import { type Classifier, createClassifier } from '#shared/classify/classify.ts';
import { CATEGORIES } from '#shared/line/categories.ts';
import { hashToUnit } from '#training/data/random.ts';
import { ATTACKS, type Attack, disguise } from './attacks.ts';
import { harmOf } from './columns.ts';
import type { Example } from './example.ts';
import { ANY_HARM_RAMP, FLAGGED } from './recipe.ts';

/**
 * The longest prompt that we disguise. A code makes a prompt several times as long, and the model
 * must still read all of it.
 */
const MOST_CHARS = 300;

/** The share of prompts that are flagged, on each side. */
type Shares = { harmful: number; benign: number };
export type AttackFigures = { attack: string; against: readonly string[]; without: Shares; with: Shares };
export type AttackPrompts = { harmful: string[]; benign: string[] };

/** Whether a category, or `any_harm`, is high enough to be on a preset policy's ramp. */
export function isFlaggedAsHarm({ classify }: Pick<Classifier, 'classify'>, text: string): boolean {
  const signals = classify(text);
  return CATEGORIES.some((category) => signals[category] > FLAGGED) || signals.any_harm > ANY_HARM_RAMP.from;
}

/**
 * Picks at most `most` prompts on each side, all of which the model judges rightly undisguised. A
 * hash decides which.
 */
export function attackPrompts(
  classifier: Classifier,
  { examples, most }: { examples: readonly Example[]; most: number },
): AttackPrompts {
  const inOrder = examples
    .filter(({ text, targets }) => text.length <= MOST_CHARS && targets.at(-1) === 0)
    .toSorted((a, b) => hashToUnit(`attacked/${a.text}`) - hashToUnit(`attacked/${b.text}`));
  const side = (harm: number) => {
    const texts: string[] = [];
    for (const example of inOrder) {
      if (texts.length === most) break;
      if (harmOf(example) === harm && isFlaggedAsHarm(classifier, example.text) === (harm === 1))
        texts.push(example.text);
    }
    return texts;
  };
  return { harmful: side(1), benign: side(0) };
}

export function attackFigures(
  model: ArrayBuffer,
  { prompts, attacks = ATTACKS }: { prompts: AttackPrompts; attacks?: readonly Attack[] },
): AttackFigures[] {
  const full = createClassifier(model);
  // Reading a model takes longer than classifying a hundred prompts, and many attacks share the
  // same defences. So we keep one classifier for each set of defences.
  const weakened = new Map<string, Classifier>();
  return attacks.map((attack) => {
    const key = attack.against.join();
    const weak = weakened.get(key) ?? createClassifier(model, { without: attack.against });
    weakened.set(key, weak);
    const flaggedBy = (classifier: Classifier): Shares => ({
      harmful: shareFlagged(classifier, prompts.harmful, attack),
      benign: shareFlagged(classifier, prompts.benign, attack),
    });
    return { attack: attack.name, against: attack.against, without: flaggedBy(weak), with: flaggedBy(full) };
  });
}

function shareFlagged(classifier: Classifier, prompts: readonly string[], attack: Attack): number {
  return prompts.filter((prompt) => isFlaggedAsHarm(classifier, disguise(attack, prompt))).length / prompts.length;
}
