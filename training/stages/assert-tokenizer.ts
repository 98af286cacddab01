/** Weights are of use with the tokenizer they were trained with alone. A run keeps its digest; runs of before it did are taken at their word. */
import type { RunState } from '../run/checkpoint-files.ts';

/** `dir` is the run that `state` is of. */
export function assertTokenizer(dir: string, { settings }: RunState, { digest }: { digest: string }): void {
  const trainedWith = settings.tokenizer;
  if (trainedWith === undefined || trainedWith === digest) return;
  throw new Error(
    `${dir} was trained with another tokenizer (SHA-256 ${trainedWith}) than this one (${digest}): give the one it was trained with`,
  );
}
