/**
 * Decides when two prompts count as the same: if they are equal after `normalize` (NFKC and lower
 * case; accents, look-alike letters and invisible characters undone) and after folding punctuation
 * and white space. Paraphrases stay different; see `near-duplicates.ts`.
 */
import { normalize } from '#shared/classify/normalize.ts';
import type { Message } from '#shared/protocol/generate.ts';

/** `promptKey('  How do I ＢＡＫＥ bread?!')` gives `how do i bake bread`. */
export function promptKey(text: string): string {
  return normalize(text)
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim();
}

/**
 * Returns what a conversation is about: its first user turn. Data sets hold the same dialogue cut
 * at several depths. If we compared the whole text or the last turn, every cut would count as
 * another prompt, and the answers of one cut would be inside the prompt of the next. Equal
 * conversations have equal first turns. The price is that all dialogues that open with "Hi" stay
 * together. For a conversation without a user turn, returns its whole text.
 */
export function openingTurn(prompt: readonly Message[]): string {
  const first = prompt.find(({ role }) => role === 'user');
  return first ? first.content : prompt.map(({ content }) => content).join('\n');
}
