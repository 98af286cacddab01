/**
 * When two prompts count as the same: after `normalize` (NFKC and lower case; accents, look-alike
 * letters and invisible characters undone) and after folding punctuation and white space.
 * Paraphrases stay different; see `near-duplicates.ts`.
 */
import { normalize } from '#shared/classify/normalize.ts';
import type { Message } from '#shared/protocol/generate.ts';

/** `promptKey('  How do I ＢＡＫＥ bread?!')` gives `how do i bake bread` */
export function promptKey(text: string): string {
  return normalize(text)
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim();
}

/**
 * What a conversation is about: its first user turn. Data sets hold one dialogue cut at several
 * depths. If we went by the whole text or the last turn, every cut would be a prompt of its own,
 * and
 * the answers of one cut would stand inside the prompt of the next. Equal conversations have equal
 * first turns. The price is that all dialogues that open with "Hi" stay together. A conversation
 * without a user turn is about its whole text.
 */
export function openingTurn(prompt: readonly Message[]): string {
  const first = prompt.find(({ role }) => role === 'user');
  return first ? first.content : prompt.map(({ content }) => content).join('\n');
}
