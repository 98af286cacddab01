/**
 * Experts without a model: logits come from a function of a sequence's source and its tokens so
 * far. With them, every part of serving except the arithmetic runs in milliseconds, and a test can
 * make an expert fail at a chosen token. They have every ability. With `topK` their rows are
 * truncated, like those of a remote engine.
 */

import {
  type Abilities,
  type Experts,
  type OpenOptions,
  type Output,
  outputOf,
  type Prediction,
  type Prefix,
  type PrefixStats,
  type SequenceId,
  type Source,
  type Step,
  type WeightBounds,
} from './experts.ts';
import { BLOCK_TOKENS, PrefixStore } from './prefix-store.ts';
import { type ReadyStep, type Sequence, Sequences } from './sequences.ts';
import { truncateRow } from './truncate-row.ts';
import { asError, Turns } from './turns.ts';

/**
 * Returns [V] logits; if it returns fewer, the rest are 0. Only a layers sequence has `bounds`. If
 * the script throws, this sequence's expert fails.
 */
export type Script = (source: Source, ids: readonly number[], bounds?: WeightBounds) => ArrayLike<number>;

export type ScriptedOptions = {
  vocabSize: number;
  /** How long a run takes. It gives a test time to act between two tokens. */
  stepMs?: number;
  /**
   * The share of the safety expert that the layers router wants, as the mean over its layers. It is
   * held within the bounds, as in the graph.
   */
  alpha?: (ids: readonly number[]) => number;
  /** The last hidden state of an expert's sequence. */
  hidden?: (source: Source, ids: readonly number[]) => ArrayLike<number>;
  /** The states after a sequence's last token that are summed over spans. */
  states?: (source: Source, ids: readonly number[]) => ArrayLike<number>;
  /** Whether it sums them. */
  sums?: boolean;
  /** k truncates rows to the k likeliest tokens; null leaves them whole. */
  topK?: number | null;
  /** The most tokens that it guesses ahead. */
  draft?: number;
  /** Called at each guess. If it throws, the guess fails. */
  onDraft?: (ids: readonly number[]) => void;
  /** Whether there is a layers router. With truncated rows there is none. */
  layers?: boolean;
  /** What one token of a sequence is said to take in memory. */
  bytesPerToken?: number;
  /** Called at each run. A test may let its clock go on here. If it throws, the whole run fails. */
  onRun?: (steps: readonly Step[]) => void;
  /** The memory for kept prefixes. Their payload is their ids. 0 keeps none. */
  prefixBytes?: number;
  /** Whether tokens of an answer are kept apart from those of a prompt. */
  answersApart?: boolean;
};

type Own = { ids: readonly number[] };
/** A prediction whose row has yet to be truncated. That needs the row to compare it with. */
type Untruncated = Omit<Prediction, 'row'> & { /** [V] */ logits: Float32Array };

export class ScriptedExperts implements Experts {
  readonly vocabSize: number;
  readonly abilities: Abilities;
  readonly #script: Script;
  readonly #options: Required<
    Pick<ScriptedOptions, 'stepMs' | 'alpha' | 'hidden' | 'states' | 'bytesPerToken' | 'onRun' | 'onDraft'>
  >;
  readonly #sequences: Sequences<Own>;
  readonly #prefixes: PrefixStore<Int32Array>;
  readonly #turns = new Turns();

  constructor(
    script: Script,
    {
      vocabSize,
      stepMs = 0,
      alpha = () => 0.5,
      hidden = () => [],
      states = (_, ids) => [ids.length, ids.at(-1)!],
      sums = true,
      topK = null,
      draft = 0,
      onDraft = () => {},
      layers = topK === null,
      bytesPerToken = 0,
      onRun = () => {},
      prefixBytes = 2 ** 20,
      answersApart = false,
    }: ScriptedOptions,
  ) {
    this.#script = script;
    this.vocabSize = vocabSize;
    this.abilities = {
      hidden: true,
      layers: layers && topK === null,
      fork: true,
      score: true,
      draft,
      sums,
      prefixes: prefixBytes > 0,
      topK,
    };
    this.#prefixes = new PrefixStore({ mostBytes: prefixBytes, answersApart });
    this.#options = { stepMs, alpha, hidden, states, bytesPerToken, onRun, onDraft };
    this.#sequences = new Sequences({ vocabSize, abilities: this.abilities });
  }

  get openCount(): number {
    return this.#sequences.size;
  }

  open(source: Source, options?: OpenOptions): SequenceId {
    return this.#sequences.open(source, { ids: [] }, options);
  }

  async draft(...[id, guess]: Parameters<Experts['draft']>): Promise<readonly number[]> {
    const { source, own } = this.#sequences.toDraft(id, guess);
    await Promise.resolve();
    const before = [...own.ids, ...guess.ids];
    this.#options.onDraft(before);
    const ids: number[] = [];
    while (ids.length < guess.count) {
      const logits = this.#logits(this.#script(source, [...before, ...ids]));
      ids.push(logits.indexOf(Math.max(...logits)));
    }
    return ids;
  }

  sums(sequence: SequenceId): (Float32Array | null)[] {
    return this.#sequences.sums(sequence);
  }

  fork(sequence: SequenceId): SequenceId {
    return this.#sequences.fork(sequence, ({ ids }) => ({ ids }));
  }

  cut(sequence: SequenceId, length: number): void {
    this.#sequences.cut(sequence, length, (own) => {
      own.ids = own.ids.slice(0, length);
    });
  }

  get prefixStats(): PrefixStats {
    return this.#prefixes.stats;
  }

  recall(sequence: SequenceId, prefix: Prefix): number {
    return this.#sequences.recall(sequence, prefix, ({ source, sums, own }) => {
      const blocks = this.#prefixes.find(source, prefix, (i, kept) => sums?.fits(i, kept) ?? true);
      for (const [i, block] of blocks.entries()) sums?.take(i, block.sums ?? new Map());
      own.ids = blocks.flatMap((block) => [...block.own]);
      return own.ids.length;
    });
  }

  keep(sequence: SequenceId, prefix: Prefix): void {
    const { source, sums, own } = this.#sequences.toKeep(sequence, prefix);
    this.#prefixes.keep(source, prefix, {
      shared: null,
      own: (from) => Int32Array.from(own.ids.slice(from, from + BLOCK_TOKENS)),
      sums: (block, known) => sums?.toKeep(block, known) ?? null,
    });
  }

  cacheBytes(lengths: readonly number[]): number {
    return lengths.reduce((sum, length) => sum + length, 0) * this.#options.bytesPerToken;
  }

  close(sequence: SequenceId): void {
    this.#sequences.close(sequence);
  }

  append(steps: readonly Step[]): Promise<Output>[] {
    const leave = this.#sequences.enter(steps);
    return this.#turns.settle(steps.length, () => this.#append(steps).finally(leave));
  }

  async dispose(): Promise<void> {
    this.#sequences.dispose();
    await this.#turns.rest();
  }

  async #append(steps: readonly Step[]): Promise<(Output | Error)[]> {
    const ready = this.#sequences.ready(steps);
    const { stepMs, onRun } = this.#options;
    if (stepMs > 0) await new Promise((resolve) => setTimeout(resolve, stepMs));
    onRun(steps);
    const done = ready.map((one) => (one instanceof Error ? one : attempt(() => this.#advance(one))));
    return done.map((one, i) => {
      if (one instanceof Error) return one;
      const beside = done[steps.findIndex(({ sequence }) => sequence === steps[i]!.beside)];
      const predictions = attempt(() => this.#truncate(one, beside instanceof Error ? [] : (beside ?? [])));
      if (predictions instanceof Error) return predictions;
      const { sequence, ids } = ready[i] as ReadyStep<Own>;
      sequence.own = { ids: [...sequence.own.ids, ...ids] };
      this.#sum(sequence, ids.length);
      sequence.length += ids.length;
      return outputOf(predictions);
    });
  }

  /** Adds the states of the tokens that were just fed. */
  #sum({ source, sums, length, own }: Sequence<Own>, count: number): void {
    for (const part of sums?.partsIn({ from: length, to: length + count }) ?? []) {
      const states = Array.from({ length: part.to - part.from }, (_, t) =>
        Array.from(this.#options.states(source, own.ids.slice(0, part.from + t + 1))),
      );
      sums?.add(
        part,
        Float32Array.from(states[0]!, (_, i) => states.reduce((sum, state) => sum + state[i]!, 0)),
      );
    }
  }

  /** What the step's sequence predicts after each position that it asks for, oldest first. */
  #advance({ step: { bounds, want }, sequence: { source, own }, ids }: ReadyStep<Own>): Untruncated[] {
    const all = [...own.ids, ...ids];
    const positions = want?.positions ?? 1;
    return Array.from({ length: positions }, (_, i) => {
      const read = all.slice(0, all.length - positions + 1 + i);
      return {
        logits: this.#logits(this.#script(source, read, bounds)),
        hidden: want?.hidden ? Float32Array.from(this.#options.hidden(source, read)) : null,
        alpha: bounds && source === 'layers' ? hold(this.#options.alpha(read), bounds) : null,
      };
    });
  }

  /** Compares rows that predict the same position, counted from the end. */
  #truncate(all: readonly Untruncated[], beside: readonly Untruncated[]): Prediction[] {
    const { topK } = this.abilities;
    return all.map(({ logits, ...rest }, i) => {
      if (topK === null) return { row: { logits }, ...rest };
      const other = beside[beside.length - all.length + i]?.logits ?? null;
      return { row: truncateRow(logits, { beside: other, k: topK }), ...rest };
    });
  }

  #logits(scripted: ArrayLike<number>): Float32Array {
    const logits = new Float32Array(this.vocabSize);
    logits.set(scripted);
    return logits;
  }
}

const hold = (wanted: number, { floor, ceiling }: WeightBounds) => Math.min(Math.max(wanted, floor), ceiling);

function attempt<T>(run: () => T): T | Error {
  try {
    return run();
  } catch (thrown) {
    return asError(thrown);
  }
}
