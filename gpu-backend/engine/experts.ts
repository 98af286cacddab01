/**
 * The experts' contract: what yields next-token distributions of experts, for sequences held by
 * handles. The code above it (the scheduler, an answer, the gate) knows handles and rows, and
 * nothing of tensors, batches or caches. A driver below it knows those, and nothing of requests.
 * Drivers: onnx-experts.ts and scripted-experts.ts. `testing/experts-contract.ts` is this text as a
 * test suite.
 *
 *     const sequence = experts.open('safety');
 *     const [prompt] = experts.append([{ sequence, ids: promptIds }]);
 *     const { row } = await prompt; // what the safety expert says after the prompt
 *     experts.close(sequence);
 *
 * **Handles.** A sequence keeps its handle until it is closed, whatever joins and leaves beside it.
 * No handle is used twice.
 *
 * **Each step settles by itself.** A step that fails rejects its own promise and no other. It
 * leaves its sequence as it was before, so the caller may try again or close it. Of course, steps
 * that a driver runs together may fail together; then each of them rejects.
 *
 * **Closing** may happen at any time and takes effect at once. A step still under way for that
 * sequence settles one way or the other, and nothing is kept of it.
 *
 * **Whole or truncated rows.** `abilities.topK` says which: null for whole rows, or the k of rows
 * that hold the k likeliest tokens. The gate compares two experts token by token and needs both at
 * every id of either. So a step may name the one `beside` it; see there.
 */
import type { ExpertRole } from '../model/manifest.ts';

/**
 * Whose prediction a sequence is: one expert's, or MidPO's mixture of both inside every layer
 * (arXiv 2506.02460).
 */
export type Source = ExpertRole | 'layers';

/** A handle. Plain data that says nothing about where the sequence is. */
export type SequenceId = number;

/**
 * The least and the most share of the safety expert in a layers sequence, 0..1, with the least at
 * most the most. In every layer and for every token fed under these bounds, the safety expert's
 * gate is held in [floor, ceiling] and the helpfulness expert's in [1 - ceiling, 1 - floor].
 */
export type WeightBounds = { floor: number; ceiling: number };

/** Tokens to append to one sequence, and what is wanted after them. */
export type Step = {
  sequence: SequenceId;
  /** At least one. */
  ids: readonly number[];
  /**
   * A layers sequence needs them. They may change from step to step; what was fed before stays as
   * it was.
   */
  bounds?: WeightBounds;
  /**
   * The sequence whose step in the same `append` this row will be compared with in the gate. It
   * only matters for truncated rows: the row then holds the k likeliest ids of both. If the other
   * step fails, this row holds only its own. A remote driver can ask twice (vLLM's
   * `logprob_token_ids`, SGLang's `token_ids_logprob`); one that has whole rows just looks.
   */
  beside?: SequenceId;
  /** Optional abilities. A step that asks for what the driver lacks fails. */
  want?: {
    /** The last (final-norm) hidden state. */
    hidden?: boolean;
    /** Rows after each of the last n of `ids`, not only the last; n is 1 to their number. */
    positions?: number;
  };
};

type WholeRow = {
  /** [V]. Any constant may be added. */
  logits: Float32Array;
};

export type TruncatedRow = {
  /** Ascending, [U]. Holds the k likeliest; among equals, the lowest ids. */
  ids: Int32Array;
  /**
   * log p of the whole row at these ids, not normalised again, [U]. What they leave of 1 is the
   * mass left out.
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
  /** After each of the earlier ids that `positions` asked for, oldest first: positions - 1 rows. */
  earlier: readonly Row[];
  /** [d] after the last id. null if not asked for. */
  hidden: Float32Array | null;
  /**
   * The safety expert's gate after the last id, within its bounds, as the mean over the layers.
   * null unless it is a layers sequence.
   */
  alpha: number | null;
};

export type Abilities = {
  /** `want.hidden` */
  hidden: boolean;
  /**
   * Sequences of the source `layers`. Not with truncated rows, which the gate cannot take there.
   */
  layers: boolean;
  /** `fork` */
  fork: boolean;
  /** `want.positions` above 1. */
  score: boolean;
  /** null: whole rows. k: truncated rows. */
  topK: number | null;
};

export interface Experts {
  readonly vocabSize: number;
  readonly abilities: Abilities;
  /** The number of sequences opened and not closed. */
  readonly openCount: number;
  /**
   * The number of tokens that a source has of its own, such as a system prompt. The driver puts
   * them before the first ids of each of its sequences. They take room in the context, but nobody
   * has to send or pay for them.
   */
  prefixLength(source: Source): number;
  /** A new, empty sequence. It costs no run. Throws for a source that is not offered. */
  open(source: Source): SequenceId;
  /**
   * Feeds each step's ids to its sequence. The promises come in the order of the steps. The driver
   * batches inside. A sequence has at most one step in an `append`, and a later `append` waits for
   * earlier ones.
   *
   * A step rejects (with a SequenceError if the caller is to blame) and leaves its sequence as it
   * was if the handle is unknown or closed, if there are no ids or ids outside the vocabulary, if
   * bounds are missing, if `want` goes beyond the abilities, or if the expert failed.
   */
  append(steps: readonly Step[]): Promise<Output>[];
  /**
   * A new sequence that from here on says what this one would. Throws if the handle is unknown or
   * closed, if one of its steps is under way, or if the ability is missing.
   */
  fork(sequence: SequenceId): SequenceId;
  /**
   * Gives a sequence back. It is no error to close one twice, or one that never existed: there is
   * nothing left to give.
   */
  close(sequence: SequenceId): void;
  /**
   * Gives everything back. Steps under way settle, later ones reject. Calling it again does
   * nothing.
   */
  dispose(): Promise<void>;
}
