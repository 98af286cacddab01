/** Checks what a remote engine says of the next token. Nothing unchecked reaches the gate. */
import type { OwnRow } from '#shared/gate/pair-rows.ts';
import type { IdLogprob } from './remote-engine.ts';

/** An engine answered, but not with the log-probabilities of a next token. */
export class RowError extends Error {
  override readonly name = 'RowError';
}

/** It names a token by a text that may be another one's, or none's. Of other prompts it may not. */
export class UnknownTextError extends RowError {}

/** How far above 0 a log-probability may be, and from 1 a sum, though nothing was in bfloat16. */
const ROUNDING = 1e-3;
/** How far off a log-probability in bfloat16 is, as a share of it. */
const BFLOAT16 = 2 ** -8;

/**
 * The k likeliest of these tokens; among equals, the lowest ids. If they are all that there is, and
 * sum to more or less than 1 for being rounded, they are divided by that: the gate takes no others.
 *
 * @param vocabSize V. A model with fewer than k tokens gives all V.
 * @throws RowError if the pairs cannot be the k likeliest tokens of a distribution over V tokens
 */
export function ownRow(pairs: readonly IdLogprob[], { topK, vocabSize }: { topK: number; vocabSize: number }): OwnRow {
  const wanted = Math.min(topK, vocabSize);
  const seen = new Set<number>();
  let sum = 0;
  for (const [id, logprob] of pairs) {
    if (!(Number.isSafeInteger(id) && id >= 0 && id < vocabSize)) {
      throw new RowError(`it names token ${id}, but the vocabulary has the ids 0 to ${vocabSize - 1}`);
    }
    if (seen.has(id)) throw new RowError(`it names token ${id} twice`);
    seen.add(id);
    if (!(logprob <= ROUNDING)) throw new RowError(`it gives token ${id} the log-probability ${logprob}`);
    sum += Math.exp(logprob);
  }
  if (pairs.length < wanted) throw new RowError(`it names ${pairs.length} tokens in place of ${wanted}`);
  const all = pairs.map(([, logprob]) => logprob);
  if (sum > 1 + roundingOf(all)) throw new RowError(`its probabilities sum to ${sum}`);
  if (sum === 0) throw new RowError('it gives every token the probability 0');
  const kept = [...pairs]
    .sort(([a, lpA], [b, lpB]) => lpB - lpA || a - b)
    .slice(0, wanted)
    .sort(([a], [b]) => a - b);
  const logprobs = Float64Array.from(kept, ([, logprob]) => Math.min(0, logprob));
  const told = logprobs.reduce((total, logprob) => total + Math.exp(logprob), 0);
  const left = Math.max(0, 1 - told);
  // The others are no likelier than the k-th. So logits that pass for log-probabilities are found.
  const most = Math.exp(Math.min(...logprobs) * (1 - BFLOAT16));
  const others = vocabSize - wanted;
  if (left > others * most + roundingOf(logprobs)) {
    throw new RowError(`it leaves ${left} to ${others} tokens, each of them at most as likely as ${most}`);
  }
  const ids = Int32Array.from(kept, ([id]) => id);
  const isWhole = told > 1 || others === 0;
  if (!isWhole || Math.abs(told - 1) <= ROUNDING) return { ids, logprobs, left };
  return { ids, logprobs: logprobs.map((logprob) => Math.min(0, logprob - Math.log(told))), left: 0 };
}

/** How far off the sum of these may be: each p = e^lp by |lp| p times what bfloat16 may change. */
function roundingOf(logprobs: Iterable<number>): number {
  let off = ROUNDING;
  for (const logprob of logprobs) {
    if (logprob !== -Infinity) off += BFLOAT16 * Math.abs(logprob) * Math.exp(logprob);
  }
  return off;
}
