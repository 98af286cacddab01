/**
 * The model must not have seen a held-out prompt. The same words on two sides of the split are an
 * error, not a warning.
 */
import { assertNoSharedPrompts } from '#training/data/leakage.ts';
import { promptKey } from '#training/data/prompt-key.ts';
import type { Example } from './example.ts';

/**
 * Takes held-out prompts out of training and calibration, and calibration prompts out of training.
 * So a prompt that the small world holds out stays held out, even if the same words occur in
 * another source.
 */
export function withoutLeaks(examples: readonly Example[]): { examples: Example[]; removed: number } {
  const heldout = new Set(examples.filter(({ split }) => split === 'heldout').map(({ text }) => promptKey(text)));
  const calibration = new Set(
    examples.filter(({ split }) => split === 'calibration').map(({ text }) => promptKey(text)),
  );
  const kept = examples.filter(({ split, text }) => {
    const key = promptKey(text);
    if (split === 'heldout') return true;
    return !heldout.has(key) && (split === 'calibration' || !calibration.has(key));
  });
  return { examples: kept, removed: examples.length - kept.length };
}

/** Throws an error that names the first prompts that two splits share. */
export function assertNoLeaks(examples: readonly Example[]): void {
  assertNoSharedPrompts(examples.map(({ split, text, source }) => ({ side: split, text, source })));
}
