/**
 * A tokenizer for tests of what is cut and counted: one token per letter, and none for the template
 * itself.
 */
import type { TrainingTokenizer } from '../tokenizer/chat-files.ts';

const encode = (text: string) => [...text].map((letter) => letter.charCodeAt(0));

// Encoding pairs needs no more of a tokenizer, so the cast skips the rest of a bundle's tokenizer.
export const LETTERS = {
  tokenizer: { encode },
  renderChat: (messages: { content: string }[]) => messages.flatMap(({ content }) => encode(content)),
  eosId: 0,
} as unknown as TrainingTokenizer;
