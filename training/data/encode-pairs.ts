/** Turns the preference pairs of one dimension into token rows, chosen and rejected. */
import type { ChatEncoder, TokenRow } from './encode-chat.ts';
import { encodeChat } from './encode-chat.ts';
import type { Dimension } from './preferences.ts';
import type { Preference } from './rows.ts';
import { noSkips, type SkipReason, type Skips } from './skips.ts';

export type PairRows = {
  chosen: TokenRow;
  rejected: TokenRow;
  /** The labelled pair that the two rows come from, and which of its responses was chosen. */
  preference: Preference;
  winner: 0 | 1;
  /** Whether the chosen and the rejected answer are safe; null if an answer has no such label. */
  safe: [boolean | null, boolean | null];
};
/**
 * Skips and counts the pairs that teach nothing: pairs without a verdict in `dimension`, with two
 * equal answers, with an empty prompt or answer, or with a prompt that leaves no token of
 * `contextLength` for an answer. The buckets decide whether the answers fit (`longAnswer` stays 0
 * here).
 *
 * `dropFirstDifference` leaves the first token in which the two answers differ out of both
 * log-probabilities. MidPO's published code does so, because it slices shifted log-probabilities at
 * the place of the unshifted tokens. The tokens that both answers share cancel anyway.
 */
export function encodePairs(
  preferences: Iterable<Preference>,
  encoder: ChatEncoder,
  options: { dimension: Dimension; contextLength?: number; dropFirstDifference?: boolean },
): { pairs: PairRows[]; skipped: Skips } {
  const { dimension, contextLength = Number.POSITIVE_INFINITY, dropFirstDifference = false } = options;
  const pairs: PairRows[] = [];
  const skipped = noSkips();
  for (const preference of preferences) {
    const { prompt, responses, [dimension]: winner, safe = [null, null] } = preference;
    if (winner === null) {
      skipped.noVerdict++;
      continue;
    }
    const fault = faultOf(preference) ?? (encoder.renderChat(prompt).length >= contextLength ? 'longPrompt' : null);
    if (fault !== null) {
      skipped[fault]++;
      continue;
    }
    const row = (answer: string) => encodeChat({ prompt, answer }, encoder);
    const pair = { chosen: row(responses[winner]), rejected: row(responses[1 - winner]!) };
    if (dropFirstDifference) dropDifference(pair);
    pairs.push({ ...pair, preference, winner, safe: [safe[winner]!, safe[1 - winner]!] });
  }
  return { pairs, skipped };
}

function faultOf({ prompt, responses }: Preference): SkipReason | null {
  const [first, second] = responses.map((response) => response.trim());
  if (prompt.every(({ content }) => content.trim() === '')) return 'emptyPrompt';
  if (first === second) return 'equalAnswers';
  return first === '' || second === '' ? 'emptyAnswer' : null;
}

function dropDifference({ chosen, rejected }: { chosen: TokenRow; rejected: TokenRow }): void {
  const at = chosen.ids.findIndex((id, i) => id !== rejected.ids[i]);
  // weights[i] is the weight of predicting ids[i + 1].
  for (const { weights } of [chosen, rejected]) if (at > 0 && at - 1 < weights.length) weights[at - 1] = 0;
}
