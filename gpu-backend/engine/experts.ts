/**
 * The experts' contract: what yields next-token distributions of experts, for sequences held by
 * handles. Everything above it (the scheduler, an answer, the gate) knows handles, rows and nothing
 * of tensors, batches or caches; a driver below it knows those, and nothing of requests. Drivers:
 * onnx-experts.ts and scripted-experts.ts. `testing/experts-contract.ts` is this text as a test
 * suite.
 *
 *     const sequence = experts.open('safety');
 *     const [prompt] = experts.append([{ sequence, ids: promptIds }]);
 *     const { row } = await prompt; // what the safety expert says after the prompt
 *     experts.close(sequence);
 *
 * **Handles.** A sequence keeps its handle until it is closed, whatever joins and leaves beside it;
 * no handle is given twice.
 *
 * **Each step settles by itself.** A step that fails rejects its own promise and no other's, and
 * leaves its sequence as it was before: it may be tried again, or closed. What a driver runs
 * together may of course fail together; then each of these steps rejects.
 *
 * **Closing** may happen at any time and takes effect at once. A step still under way for that
 * sequence settles one way or the other, and nothing is kept of it.
 *
 * **Whole or truncated rows.** `abilities.topK` says which: null, or the k of rows that hold the k
 * likeliest tokens. The gate compares two experts token by token and needs to know both at every id
 * of either, so a step may name the one `beside` it; see there.
 */
import type { ExpertRole } from '../model/manifest.ts';

/**
 * Whose prediction a sequence is: one expert's, or MidPO's mixture of both inside every layer
 * (arXiv 2506.02460).
 */
export type Source = ExpertRole | 'layers';

/** A handle. Plain data; it says nothing of where the sequence lies. */
export type SequenceId = number;

/**
 * The least and the most share of the safety expert in a layers sequence, 0..1, the least at most
 * the most: its gate is held in [floor, ceiling] and the helpfulness expert's in [1 - ceiling, 1 -
 * floor], in every layer and for every token fed under these bounds.
 */
export type WeightBounds = { floor: number; ceiling: number };

/** Tokens to append to one sequence, and what is wanted after them. */
export type Step = {
  sequence: SequenceId;
  /** At least one. */
  ids: readonly number[];
  /**
   * Of a layers sequence, which needs them; they may change from step to step, and what was fed
   * before stays as it was.
   */
  bounds?: WeightBounds;
  /**
   * The sequence whose step in the same `append` this one's row will meet in the gate. Only
   * truncated rows look at it: the row then holds the k likeliest ids of both. If that other step
   * fails, this one holds its own alone. A driver far away can ask twice (vLLM's
   * `logprob_token_ids`, SGLang's `token_ids_logprob`), one that has whole rows at hand just looks.
   */
  beside?: SequenceId;
  /** Optional abilities; asking for what the driver has not fails the step. */
  want?: {
    /** The last (final-norm) hidden state. */
    hidden?: boolean;
    /** Rows after each of the last n of `ids`, not the last alone; 1 to their number. */
    positions?: number;
  };
};

type WholeRow = {
  /** [V], any constant may be added */
  logits: Float32Array;
};

export type TruncatedRow = {
  /** Ascending, [U]. Holds the k likeliest; of equals, the lowest ids. */
  ids: Int32Array;
  /**
   * log p of the whole row at these ids, not normalised again, [U]. The mass left out is what they
   * leave of 1.
   */
  logprobs: Float64Array;
  /** k */
  topK: number;
};

export type Row = WholeRow | TruncatedRow;

/** What a sequence says after a step. */
export type Output = {
  /** After the last id. */
  row: Row;
  /**
   * After each of the ids before it that `positions` asked for, oldest first: positions - 1 rows.
   */
  earlier: readonly Row[];
  /** [d] after the last id; null where it was not asked for. */
  hidden: Float32Array | null;
  /**
   * The safety expert's gate after the last id, between its bounds, mean over the layers; null
   * unless it is a layers sequence.
   */
  alpha: number | null;
};

export type Abilities = {
  /** `want.hidden` */
  hidden: boolean;
  /**
   * Sequences of the source `layers`. Not with truncated rows: the gate has no way to take those.
   */
  layers: boolean;
  /** `fork` */
  fork: boolean;
  /** `want.positions` above 1. */
  score: boolean;
  /** null: whole rows. k: truncated ones. */
  topK: number | null;
};

export interface Experts {
  readonly vocabSize: number;
  readonly abilities: Abilities;
  /** Sequences opened and not closed. */
  readonly openCount: number;
  /**
   * Tokens that a source has of its own, such as a system prompt: the driver puts them before the
   * first ids of each of its sequences. They take room in the context, and nobody is asked to send
   * or pay for them.
   */
  prefixLength(source: Source): number;
  /** A new, empty sequence; costs no run. Throws for a source that is not offered. */
  open(source: Source): SequenceId;
  /**
   * Feeds each step's ids to its sequence; the promises are in the order of the steps. The driver
   * batches inside. A sequence has at most one step in an `append`; a later `append` waits for
   * those before it.
   *
   * A step rejects (with a SequenceError where the caller is to blame) and leaves its sequence as
   * it was: for a handle that is unknown or closed, for no ids or ids outside the vocabulary, for
   * missing bounds, for a `want` beyond the abilities, or because the expert failed.
   */
  append(steps: readonly Step[]): Promise<Output>[];
  /**
   * A new sequence that says from here on what this one would. Throws for a handle that is unknown
   * or closed, while a step of it is under way, and where the ability is missing.
   */
  fork(sequence: SequenceId): SequenceId;
  /**
   * Gives a sequence back. Closing one twice, or one that never was, is no error: there is nothing
   * left to give.
   */
  close(sequence: SequenceId): void;
  /**
   * Gives everything back. Steps under way settle, later ones reject. Calling it again does
   * nothing.
   */
  dispose(): Promise<void>;
}
