/**
 * What computes logits: a batch of rows, each one sequence under one expert, or under both as the layers router mixes them. The
 * scheduler above it knows requests, the gate and stop strings, and nothing of tensors; the members below know tensors, and
 * nothing of requests.
 */
import type { ExpertRole } from '../model/manifest.ts';

/** The least and the most share of the safety expert, 0..1, the least at most the most. */
export type WeightBounds = { floor: number; ceiling: number };

/** Whose prediction a row is. */
export type RowSource =
  /** One expert's. `hidden`: its last hidden state is wanted beside the logits. */
  | { kind: ExpertRole; hidden?: boolean }
  /**
   * MidPO's mixture inside every layer (arXiv 2506.02460), the safety expert's gate held in [floor, ceiling] and the helpfulness
   * expert's in [1 - ceiling, 1 - floor], in every layer and for every token that is fed under these bounds.
   */
  | { kind: 'layers'; bounds: WeightBounds };

export type NewRow = { source: RowSource; ids: readonly number[] };
/** A row's next token. Its source is of the kind it joined as; bounds may have changed since. */
export type RowStep = { source: RowSource; id: number };

/** What a row says after its last token. */
export type RowOutput = {
  /** [V] */
  logits: Float32Array;
  /** The last (final-norm) hidden state, [d]; null where it was not asked for. */
  hidden: Float32Array | null;
  /** The safety expert's gate, between its bounds, mean over the layers; null unless it is a layers row. */
  alpha: number | null;
};

export interface Experts {
  readonly vocabSize: number;
  /** Rows in the batch now. */
  readonly rowCount: number;
  /** Appends rows, each fed its prompt. Returns what each new row says. */
  add(rows: readonly NewRow[]): Promise<RowOutput[]>;
  /** Feeds every row one token, in order. Returns what each says. */
  advance(steps: readonly RowStep[]): Promise<RowOutput[]>;
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
