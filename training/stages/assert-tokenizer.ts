/**
 * Weights are useful only with the tokenizer that they were trained with. So a run keeps the
 * tokenizer's digest. Older runs have none, and we trust them.
 */
import type { RunState } from '../run/checkpoint-files.ts';

/** `dir` is the folder of the run that `state` belongs to. */
export function assertTokenizer(dir: string, { settings }: RunState, { digest }: { digest: string }): void {
  const trainedWith = settings.tokenizer;
  if (trainedWith === undefined || trainedWith === digest) return;
  throw new Error(
    `${dir} was trained with another tokenizer (SHA-256 ${trainedWith}) than this one (${digest}): give the one it was trained with`,
  );
}
