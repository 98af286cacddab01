/** Asks the classifier about a prompt, and turns every way in which it can fail into one: no probabilities at all. */
import type { Probabilities } from '#policies/compile.ts';
import { LABELS, type Label } from '#shared/api/categories.ts';
import type { CategoryProbability } from '#shared/api/plimsoll-extension.ts';
import type { Classifier } from '#shared/classify/classify.ts';
import { logError } from '../log.ts';

export type Classification = {
  /** Empty when the classifier failed: `compile` then puts every rule in full force. */
  probabilities: Probabilities;
  failed: boolean;
};

export function classifyPrompt(classifier: Classifier, text: string): Classification {
  try {
    const probabilities: Partial<Record<Label, number>> = {};
    for (const { label, probability } of classifier.classify(text)) probabilities[label] = probability;
    const missing = LABELS.filter((label) => !isProbability(probabilities[label]));
    if (missing.length > 0) throw new Error(`no probability for ${missing.join(', ')}`);
    return { probabilities, failed: false };
  } catch (cause) {
    logError({ event: 'classifier-failed', version: classifier.version, cause });
    return { probabilities: {}, failed: true };
  }
}

/** For an answer: every label, with the probability that was acted on. */
export function listCategories(probabilities: Probabilities): CategoryProbability[] {
  return LABELS.map((name) => ({ name, probability: Math.round((probabilities[name] ?? 1) * 1e4) / 1e4 }));
}

function isProbability(value: number | undefined): boolean {
  return value !== undefined && value >= 0 && value <= 1;
}
