/** What an answer must know about the vocabulary to turn drawn tokens into text. */
export type Vocabulary = {
  /** The tokens that end an answer: at least one. */
  eos: readonly number[];
  /** Ids that no answer may contain: other special tokens, and ids that stand for nothing. */
  banned: readonly number[];
  /** The bytes of a token; undefined if it has no text. */
  bytesOf: (id: number) => Uint8Array | undefined;
  /** Whether one space at the start of an answer is the tokenizer's and no part of the text. */
  dropsFirstSpace?: boolean;
};
