/**
 * The experts' contract: it yields the next-token distributions of experts, for sequences held by
 * handles. The code above it (the scheduler, an answer, the gate) knows handles and rows, but
 * nothing about tensors, batches or caches. A driver below it knows those, but nothing about
 * requests. Drivers: onnx-experts.ts and scripted-experts.ts. `testing/experts-contract.ts` is this
 * text as a test suite. A driver for engines elsewhere is ../remote/remote-experts.ts.
 *
 *     const sequence = experts.open('safety');
 *     const [prompt] = experts.append([{ sequence, ids: promptIds }]);
 *     const { row } = await prompt; // what the safety expert says after the prompt
 *     experts.close(sequence);
 *
 * **Handles.** A sequence keeps its handle until it is closed, whatever other sequences join and
 * leave. No handle is used twice.
 *
 * **Each step settles on its own.** A step that fails rejects its own promise and no other. It
 * leaves its sequence as it was before, so the caller may try again or close it. Steps that a
 * driver runs together may of course fail together; then each of them rejects.
 *
 * **Closing** may happen at any time and takes effect at once. If the sequence still has a step
 * under way, that step settles one way or the other, and nothing of it is kept.
 *
 * **Whole or truncated rows.** `abilities.topK` says which: null means whole rows, and a number k
 * means rows with only the k likeliest tokens. The gate compares two experts token by token, so at
 * every id in either row it needs the log-probability under both. So a step may name the sequence
 * to compare with: see `beside`.
 */
import type { Span } from '../model/looked-messages.ts';
import type { ExpertRole } from '../model/manifest.ts';

/**
 * Whose predictions a sequence makes: one expert's, or those of MidPO's mixture of both experts
 * inside every layer (arXiv 2506.02460).
 */
export type Source = ExpertRole | 'layers';

/** A handle. Plain data that says nothing about where the sequence is. */
export type SequenceId = number;

/**
 * The smallest and largest share of the safety expert in a layers sequence, 0..1, with `floor <=
 * ceiling`. In every layer and for every token fed under these bounds, the safety expert's gate is
 * held in [floor, ceiling] and the helpfulness expert's in [1 - ceiling, 1 - floor].
 */
export type WeightBounds = { floor: number; ceiling: number };

/** Tokens to append to one sequence, and what to return after them. */
export type Step = {
  sequence: SequenceId;
  /** At least one id. */
  ids: readonly number[];
  /**
   * A layers sequence needs them. They may change from step to step; tokens fed earlier stay as
   * they were.
   */
  bounds?: WeightBounds;
  /**
   * What these ids are; `prompt` if left out. Weights in few bits may be multiplied in different
   * ways for either (accurately while a prompt is read, fast while an answer grows). It must depend
   * on nothing else, so that an answer is the same whoever is in the batch, and wherever it is
   * resumed. So the tokens of an answer are `answer` even when they are fed again.
   */
  reads?: 'prompt' | 'answer';
  /**
   * Another sequence in the same `append`: the gate will compare its row with this one. It only
   * matters for truncated rows: the row then holds the k likeliest ids of both. If the other step
   * fails, this row holds only its own ids. A remote driver can query twice (vLLM's
   * `logprob_token_ids`, SGLang's `token_ids_logprob`); a driver that has whole rows just looks
   * them up.
   */
  beside?: SequenceId;
  /** Optional extras. A step that requests one the driver does not support fails. */
  want?: {
    /** The last (final-norm) hidden state, with every row. */
    hidden?: boolean;
    /**
     * A row after each of the last n of `ids`, not only the last; n is at most their number. With
     * 0, nothing is predicted, and the output is `NO_OUTPUT`: for the chunks of a prompt before its
     * last, which then need no head.
     */
    positions?: number;
  };
};

type WholeRow = {
  /** [V]. Any constant may be added. */
  logits: Float32Array;
};

export type TruncatedRow = {
  /** Ascending, [U]. They include the k likeliest; among equals, the lowest ids. */
  ids: Int32Array;
  /**
   * log p of the whole row at these ids, not renormalised, [U]. Whatever their probabilities lack
   * to 1 is the mass left out.
   */
  logprobs: Float64Array;
  /** k */
  topK: number;
};

export type Row = WholeRow | TruncatedRow;

/** What a sequence predicts after one of its ids. */
export type Prediction = {
  row: Row;
  /** [d] after that id. null unless asked for. */
  hidden: Float32Array | null;
  /**
   * The safety expert's gate after that id, within its bounds, as the mean over the layers. null
   * unless it is a layers sequence.
   */
  alpha: number | null;
};

/** A sequence's output after a step: what it predicts after the last id. */
export type Output = Prediction & {
  /** After the earlier ids that `positions` asked for, oldest first: positions - 1 of them. */
  earlier: readonly Prediction[];
};

/** The output of a step that wants no row: a row that tells nothing about any token. */
export const NO_OUTPUT: Output = {
  row: { ids: new Int32Array(), logprobs: new Float64Array(), topK: 0 },
  hidden: null,
  alpha: null,
  earlier: [],
};

/** @param predictions after the last of a step's ids, oldest first, as many as it wants */
export function outputOf(predictions: readonly Prediction[]): Output {
  const last = predictions.at(-1);
  return last === undefined ? NO_OUTPUT : { ...last, earlier: predictions.slice(0, -1) };
}

export type Abilities = {
  /** Supports `want.hidden`. */
  hidden: boolean;
  /**
   * Offers `layers` sequences. Never with truncated rows, which the gate cannot use in that mode.
   */
  layers: boolean;
  /** Supports `fork`. */
  fork: boolean;
  /** Supports `want.positions` above 1. */
  score: boolean;
  /** The most tokens that `draft` guesses at once; 0 without that ability. Needs `score`. */
  draft: number;
  /** Sums hidden states over spans of an expert's sequence: `open` with `sums`, and `sums`. */
  sums: boolean;
  /** Supports `recall` and `keep`. */
  prefixes: boolean;
  /** null for whole rows, k for truncated rows. */
  topK: number | null;
};

/**
 * Who may find a kept prefix again. The first `publicTokens` ids are for everyone, the rest only
 * for `tenant`: how fast an answer comes must not tell one tenant what another one asked.
 */
type PrefixScope = { tenant: string; publicTokens: number };

/** The tokens of a prefix, and everything else that its keys and values depend on. */
export type Prefix = {
  ids: readonly number[];
  scope: PrefixScope;
  /** How many of the ids are prompt (see `Step.reads`); the rest are answer. All if left out. */
  promptTokens?: number;
  /** The bounds under which a layers sequence read them. */
  bounds?: WeightBounds;
};

/** How well kept prefixes serve. The counts only grow, for as long as the experts live. */
export type PrefixStats = {
  /** The tokens of all prefixes that were looked for, and those of them that were found. */
  queriedTokens: number;
  foundTokens: number;
  /** Tokens of kept prefixes that were forgotten to make room. */
  forgottenTokens: number;
  /** What kept prefixes take in memory now. */
  bytes: number;
};

export const NO_PREFIXES: PrefixStats = { queriedTokens: 0, foundTokens: 0, forgottenTokens: 0, bytes: 0 };

export type OpenOptions = { sums?: readonly Span[]; tenant?: string };

export interface Experts {
  readonly vocabSize: number;
  readonly abilities: Abilities;
  /** The number of sequences opened and not yet closed. */
  readonly openCount: number;
  /** All 0 if the ability is missing. */
  readonly prefixStats: PrefixStats;
  /**
   * Opens a new, empty sequence, without a run. Throws if the source is not offered. `tenant` is
   * whose it is: a driver over somebody else's prefix cache keeps tenants apart by it.
   *
   * While an expert's sequence is fed, the hidden states of its tokens are summed over each of the
   * spans in `sums`. Throws if the ability is missing.
   */
  open(source: Source, options?: OpenOptions): SequenceId;
  /**
   * Feeds each step's ids to its sequence. The promises come in the order of the steps. The driver
   * does the batching. A sequence has at most one step in an `append`, and a later `append` waits
   * for earlier ones.
   *
   * A step rejects (with a SequenceError if the caller is to blame) and leaves its sequence as it
   * was if the handle is unknown or closed, if there are no ids or ids outside the vocabulary, if
   * bounds are missing, if `want` goes beyond the abilities, or if the expert failed.
   */
  append(steps: readonly Step[]): Promise<Output>[];
  /**
   * Guesses how a sequence would go on after these ids: the likeliest token, again and again, at
   * least none and at most `count`. Nothing is fed. If the next `append` feeds the ids and the
   * guess (or its beginning), a driver that asks an engine elsewhere need not ask this expert
   * again. Rejects as a step does, if a step of the sequence is under way, or if the ability is
   * missing.
   */
  draft(sequence: SequenceId, guess: { ids: readonly number[]; count: number }): Promise<readonly number[]>;
  /**
   * The sums over the spans that the sequence was opened with, in their order: for each layer that
   * the driver was made to read, d numbers. They are the same, up to rounding, however the tokens
   * were fed or recalled. null for a span some of whose tokens have not been fed. Throws as `cut`
   * does.
   */
  sums(sequence: SequenceId): (Float32Array | null)[];
  /**
   * Opens a new sequence that continues exactly as this one would. Throws if the handle is unknown
   * or closed, if one of its steps is under way, or if the ability is missing.
   */
  fork(sequence: SequenceId): SequenceId;
  /**
   * Forgets all but a sequence's first `length` tokens, as if the others had never been fed. Throws
   * if the handle is unknown or closed, if one of its steps is under way, or if the sequence is
   * shorter.
   */
  cut(sequence: SequenceId, length: number): void;
  /**
   * Fills an empty sequence with the longest beginning of the prefix that is known, without a run.
   * If the sequence has spans to sum, that is as far as their sums are known too.
   * Returns how many tokens that is: always fewer than the prefix has, because the last one must be
   * fed to get a row. Throws as `cut` does, or if the ability is missing.
   */
  recall(sequence: SequenceId, prefix: Prefix): number;
  /**
   * Keeps a sequence's first tokens, which are this prefix's, for later sequences of the same
   * source. The driver may keep less, and forgets what was not used for longest when it needs the
   * memory. Throws as `cut` does, or if the ability is missing.
   */
  keep(sequence: SequenceId, prefix: Prefix): void;
  /**
   * The memory that open sequences of these lengths take together, in bytes, once they have grown
   * to them. 0 for a driver that keeps nothing here.
   */
  cacheBytes(lengths: readonly number[]): number;
  /**
   * Gives a sequence back. Closing one twice, or one that never existed, is not an error: there is
   * nothing to give back.
   */
  close(sequence: SequenceId): void;
  /**
   * Gives everything back. Steps under way settle, later ones reject. Calling it again does
   * nothing.
   */
  dispose(): Promise<void>;
}
