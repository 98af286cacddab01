/**
 * What computes logits: a batch of rows, each one sequence under one expert. The scheduler above it knows requests, the
 * gate and stop strings, and nothing of tensors; the members below know tensors, and nothing of requests.
 */
import type { ExpertRole } from '../model/manifest.ts';

export type NewRow = { expert: ExpertRole; ids: readonly number[] };

export interface RowModel {
  readonly vocabSize: number;
  /** Rows in the batch now. */
  readonly rowCount: number;
  /** Appends rows, each fed its prompt. Returns the logits after each new row's last token, [added, V]. */
  add(rows: readonly NewRow[]): Promise<Float32Array>;
  /** Feeds every row one token, in order. Returns [rows, V]. */
  advance(ids: readonly number[]): Promise<Float32Array>;
  /** Keeps only these rows, in this order. */
  keep(rows: readonly number[]): void;
  close(): Promise<void>;
}

/** What the scheduler must know of the vocabulary to turn drawn tokens into an answer. */
export type Vocabulary = {
  /** Ends an answer. */
  eos: number;
  /** Ids no answer may hold: other special tokens, and ids that stand for nothing. */
  banned: readonly number[];
  /** The bytes of a token; undefined where it has no text. */
  bytesOf: (id: number) => Uint8Array | undefined;
};
