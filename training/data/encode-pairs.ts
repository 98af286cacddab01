/** Preference pairs of one dimension as token rows, chosen and rejected. */
import type { ChatEncoder, TokenRow } from './encode-chat.ts';
import { encodeChat } from './encode-chat.ts';
import type { Dimension } from './preferences.ts';
import type { Preference } from './rows.ts';

export type PairRows = {
  chosen: TokenRow;
  rejected: TokenRow;
  /** Where the two came from: the labelled pair, and which of its responses was chosen. */
  preference: Preference;
  winner: 0 | 1;
  /** Whether the chosen and the rejected answer are safe, where that is labelled. */
  safe: [boolean | null, boolean | null];
};
export type SkippedPairs = { ties: number; equal: number };

/**
 * Pairs without a verdict in `dimension`, and pairs whose answers are the same text, teach nothing: skipped and counted.
 *
 * `dropFirstDifference` leaves the first token in which the two answers differ out of both log-probabilities, as MidPO's published code does by
 * slicing shifted log-probabilities at the place of the unshifted tokens. What two answers have in common cancels anyway.
 */
export function encodePairs(
  preferences: Iterable<Preference>,
  encoder: ChatEncoder,
  { dimension, dropFirstDifference = false }: { dimension: Dimension; dropFirstDifference?: boolean },
): { pairs: PairRows[]; skipped: SkippedPairs } {
  const pairs: PairRows[] = [];
  const skipped: SkippedPairs = { ties: 0, equal: 0 };
  for (const preference of preferences) {
    const { prompt, responses, [dimension]: winner, safe = [null, null] } = preference;
    if (winner === null) skipped.ties++;
    else if (responses[0].trim() === responses[1].trim()) skipped.equal++;
    else {
      const row = (answer: string) => encodeChat({ prompt, answer }, encoder);
      const pair = { chosen: row(responses[winner]), rejected: row(responses[1 - winner]!) };
      if (dropFirstDifference) dropDifference(pair);
      pairs.push({ ...pair, preference, winner, safe: [safe[winner]!, safe[1 - winner]!] });
    }
  }
  return { pairs, skipped };
}

function dropDifference({ chosen, rejected }: { chosen: TokenRow; rejected: TokenRow }): void {
  const at = chosen.ids.findIndex((id, i) => id !== rejected.ids[i]);
  // weights[i] counts the prediction of ids[i + 1].
  for (const { weights } of [chosen, rejected]) if (at > 0 && at - 1 < weights.length) weights[at - 1] = 0;
}
