/** What the scheduler must know of the vocabulary to turn drawn tokens into an answer. */
export type Vocabulary = {
  /** Ends an answer. */
  eos: number;
  /** Ids no answer may hold: other special tokens, and ids that stand for nothing. */
  banned: readonly number[];
  /** The bytes of a token; undefined where it has no text. */
  bytesOf: (id: number) => Uint8Array | undefined;
};
