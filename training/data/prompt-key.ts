/**
 * When two prompts count as the same: after `normalize` (NFKC, lower case, accents, look-alike letters and invisible
 * characters undone), with punctuation and white space folded. Paraphrases stay different; see `near-duplicates.ts`.
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
 * What a conversation is about: its first user turn. One dialogue comes into a data set cut at several depths, and by its
 * whole text, or by its last turn, every cut would be a prompt of its own, with the answers of one cut inside the prompt
 * of the next. The first turn is equal wherever the whole is equal. Its price: dialogues that all open with "Hi" stay
 * together. A conversation without a user turn is its whole text.
 */
export function openingTurn(prompt: readonly Message[]): string {
  const first = prompt.find(({ role }) => role === 'user');
  return first ? first.content : prompt.map(({ content }) => content).join('\n');
}
