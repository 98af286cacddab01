/**
 * A tokenizer for tests that check lengths and counts: one token per letter, and none for the
 * template itself.
 */
import type { TrainingTokenizer } from '../tokenizer/chat-files.ts';

const encode = (text: string) => [...text].map((letter) => letter.charCodeAt(0));

// The cast is safe: encoding pairs needs only these parts of a bundle's tokenizer.
export const LETTERS = {
  tokenizer: { encode },
  renderChat: (messages: { content: string }[]) => messages.flatMap(({ content }) => encode(content)),
  eosId: 0,
} as unknown as TrainingTokenizer;
