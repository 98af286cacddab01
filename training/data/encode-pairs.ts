/** Preference pairs of one dimension as token rows, chosen and rejected. */
import type { ChatEncoder, TokenRow } from './encode-chat.ts';
import { encodeChat } from './encode-chat.ts';
import type { Dimension } from './preferences.ts';
import type { Preference } from './rows.ts';
import { noSkips, type SkipReason, type Skips } from './skips.ts';

export type PairRows = { chosen: TokenRow; rejected: TokenRow };

/**
 * What teaches nothing is skipped and counted: pairs without a verdict in `dimension`, with the same text twice, with
 * nothing asked or answered, and with a prompt that leaves no token of `contextLength` for an answer. Whether the answers
 * fit is for the buckets to say (`longAnswer` stays 0 here).
 */
export function encodePairs(
  preferences: Iterable<Preference>,
  encoder: ChatEncoder,
  { dimension, contextLength = Number.POSITIVE_INFINITY }: { dimension: Dimension; contextLength?: number },
): { pairs: PairRows[]; skipped: Skips } {
  const pairs: PairRows[] = [];
  const skipped = noSkips();
  for (const preference of preferences) {
    const { prompt, responses, [dimension]: winner } = preference;
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
    pairs.push({ chosen: row(responses[winner]), rejected: row(responses[1 - winner]!) });
  }
  return { pairs, skipped };
}

function faultOf({ prompt, responses }: Preference): SkipReason | null {
  const [first, second] = responses.map((response) => response.trim());
  if (prompt.every(({ content }) => content.trim() === '')) return 'emptyPrompt';
  if (first === second) return 'equalAnswers';
  return first === '' || second === '' ? 'emptyAnswer' : null;
}

export function pairLength({ chosen, rejected }: PairRows): number {
  return Math.max(chosen.ids.length, rejected.ids.length) - 1;
}
