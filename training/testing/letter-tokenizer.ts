/** A tokenizer for tests of what is cut and counted: a token a letter, and none of the template's own. */
import type { TrainingTokenizer } from '../tokenizer/chat-files.ts';

const encode = (text: string) => [...text].map((letter) => letter.charCodeAt(0));

// Encoding pairs asks no more of a tokenizer.
export const LETTERS = {
  tokenizer: { encode },
  renderChat: (messages: { content: string }[]) => messages.flatMap(({ content }) => encode(content)),
  eosId: 0,
  // The cast leaves out what a bundle's tokenizer has beside that.
} as unknown as TrainingTokenizer;
