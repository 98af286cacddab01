/**
 * Asks the classifier about a text. However it fails, the result is the same: no signals at all.
 */
import type { CategoryProbability } from '#shared/api/plimsoll-extension.ts';
import type { Classifier } from '#shared/classify/classify.ts';
import { JUDGEMENTS, SIGNALS } from '#shared/line/categories.ts';
import type { SignalValues } from '#shared/line/rules.ts';
import { logError } from '../request/log.ts';
import type { Pacer } from './pace.ts';

/**
 * In characters, which is how the classifier counts its work. The slowest text of this length takes
 * about ten milliseconds.
 */
export const WORK_BETWEEN_PAUSES = 4_000;

type Classification = {
  /** Empty if the classifier failed. `compile` then applies every rule in full. */
  signals: SignalValues;
  failed: boolean;
};

export async function classifyText(classifier: Classifier, text: string, pacer: Pacer): Promise<Classification> {
  try {
    const signals = await pacer.drive(classifier.inSlices(text));
    const missing = SIGNALS.filter((signal) => !isProbability(signals[signal]));
    if (missing.length > 0) throw new Error(`no probability for ${missing.join(', ')}`);
    return { signals, failed: false };
  } catch (cause) {
    logError({ event: 'classifier-failed', version: classifier.version, cause });
    return { signals: {}, failed: true };
  }
}

/** What an answer lists: every judgement, with the probability that we acted on. */
export function listCategories(signals: SignalValues): CategoryProbability[] {
  return JUDGEMENTS.map((name) => ({ name, probability: rounded(signals[name]) }));
}

/** Rounds to four digits. A missing signal counts as 1, which is what we acted on. */
export function rounded(signal: number | undefined): number {
  return Math.round((signal ?? 1) * 1e4) / 1e4;
}

function isProbability(value: number | undefined): boolean {
  return value !== undefined && value >= 0 && value <= 1;
}
