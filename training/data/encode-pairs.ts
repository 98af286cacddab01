/** Preference pairs of one dimension as token rows, chosen and rejected. */
import type { ChatEncoder, TokenRow } from './encode-chat.ts';
import { encodeChat } from './encode-chat.ts';
import type { Dimension } from './preferences.ts';
import type { Preference } from './rows.ts';

export type PairRows = { chosen: TokenRow; rejected: TokenRow };
export type SkippedPairs = { ties: number; equal: number };

/** Pairs without a verdict in `dimension`, and pairs whose answers are the same text, teach nothing: skipped and counted. */
export function encodePairs(
  preferences: Iterable<Preference>,
  encoder: ChatEncoder,
  { dimension }: { dimension: Dimension },
): { pairs: PairRows[]; skipped: SkippedPairs } {
  const pairs: PairRows[] = [];
  const skipped: SkippedPairs = { ties: 0, equal: 0 };
  for (const { prompt, responses, [dimension]: winner } of preferences) {
    if (winner === null) skipped.ties++;
    else if (responses[0].trim() === responses[1].trim()) skipped.equal++;
    else {
      const row = (answer: string) => encodeChat({ prompt, answer }, encoder);
      pairs.push({ chosen: row(responses[winner]), rejected: row(responses[1 - winner]!) });
    }
  }
  return { pairs, skipped };
}

export function pairLength({ chosen, rejected }: PairRows): number {
  return Math.max(chosen.ids.length, rejected.ids.length) - 1;
}
