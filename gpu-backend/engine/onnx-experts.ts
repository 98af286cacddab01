/**
 * Experts on onnxruntime. One run serves every row. Each row reads the same base weights, and its
 * gates select its expert from the stacked LoRA (or mix the experts), so two experts cost little
 * more than one. Each row has its own length. This driver keeps keys and values itself: see
 * kv-cache.ts. Here is which steps share a run; onnx-runs.ts makes it.
 */
import { type DecoderConfig, headDim } from '../model/config.ts';
import type { DevicePast } from './device-past.ts';
import type {
  Abilities,
  Experts,
  OpenOptions,
  Output,
  Prefix,
  PrefixStats,
  SequenceId,
  Source,
  Step,
} from './experts.ts';
import { KeptPrefixes, NOTHING_RECALLED } from './kept-prefixes.ts';
import { KvCache } from './kv-cache.ts';
import { OnnxRuns, type Own, rowsOf, wasClosed } from './onnx-runs.ts';
import {
  type OpenSessions,
  type OpenSessionsOptions,
  openSessions,
  type ReadSessions,
  sumLayersOf,
} from './onnx-sessions.ts';
import { type ReadyStep, SequenceError, Sequences } from './sequences.ts';
import { isMixed, type ServableBundle } from './serving-weights.ts';
import { sharedLayers } from './shared-layers.ts';
import { Turns } from './turns.ts';

/**
 * How many tokens a run computes, over all rows. Attention scores take the most memory: heads x
 * tokens x context, several times over. With a bound on tokens, that is linear in the context and
 * does not grow with the prompt. Two rows of 2,048 tokens of SmolLM2-135M peak at 1.2, 1.7 and 2.1
 * times their keys and values with 128, 256 and 512, and 128 take 1.5 times as long as 256.
 */
const RUN_TOKENS = 256;

export type OnnxOptions = OpenSessionsOptions & {
  /** The most tokens of one run, over all rows, as long as each row has one. */
  runTokens?: number;
  /** The most bytes of kept prefixes. 0 keeps none. */
  prefixBytes?: number;
  /**
   * The memory for keys and values, in bytes, if it is bounded: what the caller lets open sequences
   * take at most, as `cacheBytes` says. Copies for speed are made only where they fit into it.
   */
  kvBytes?: number | null;
};

export class OnnxExperts implements Experts {
  readonly vocabSize: number;
  readonly abilities: Abilities;
  readonly #config: DecoderConfig;
  /** The same one twice, unless prompts and answers are multiplied differently. */
  readonly #sessions: ReadSessions;
  readonly #cache: KvCache;
  readonly #prefixes: KeptPrefixes;
  /** What the session that reads answers left on the device; null if every run is fed. */
  readonly #onDevice: DevicePast | null;
  readonly #sequences: Sequences<Own>;
  readonly #runs: OnnxRuns;
  readonly #turns = new Turns();
  #disposed = false;

  private constructor(
    { sessions, gates, onDevice }: OpenSessions,
    bundle: ServableBundle,
    { runTokens, prefixBytes, kvBytes }: Required<Pick<OnnxOptions, 'runTokens' | 'prefixBytes' | 'kvBytes'>>,
  ) {
    const { config } = bundle;
    this.#sessions = sessions;
    this.#onDevice = onDevice;
    this.#config = config;
    this.vocabSize = config.vocab_size;
    this.abilities = {
      hidden: true,
      layers: gates === 'routed',
      fork: true,
      score: true,
      draft: 0,
      sums: sumLayersOf(bundle).length > 0,
      prefixes: prefixBytes > 0,
      topK: null,
    };
    const shape = { layers: config.num_hidden_layers, width: config.num_key_value_heads * headDim(config) };
    this.#cache = new KvCache(shape, {
      ...(kvBytes !== null && { mostBytes: kvBytes }),
      mostPositions: config.max_position_embeddings,
    });
    this.#prefixes = new KeptPrefixes(this.#cache, {
      mostBytes: prefixBytes,
      sharedLayers: sharedLayers(bundle),
      // Their weights are multiplied in one way for prompts, in another for answers.
      answersApart: isMixed(bundle),
    });
    this.#sequences = new Sequences({ vocabSize: this.vocabSize, abilities: this.abilities });
    this.#runs = new OnnxRuns(bundle, {
      cache: this.#cache,
      prefixes: this.#prefixes,
      sequences: this.#sequences,
      answer: sessions.answer,
      onDevice,
      gates,
      runTokens,
    });
  }

  static async create(
    bundle: ServableBundle,
    { runTokens = RUN_TOKENS, prefixBytes = 0, kvBytes = null, ...options }: OnnxOptions = {},
  ): Promise<OnnxExperts> {
    const opened = await openSessions(bundle, options);
    try {
      return new OnnxExperts(opened, bundle, { runTokens, prefixBytes, kvBytes });
    } catch (error) {
      await releaseAll(opened.sessions);
      throw error;
    }
  }

  get openCount(): number {
    return this.#sequences.size;
  }

  /** What keys and values take now, copies included, in bytes. */
  get heldBytes(): number {
    return this.#cache.bytes;
  }

  /** How often keys and values moved to a new slab; see kv-cache.ts. */
  get cacheMoves(): number {
    return this.#cache.moves;
  }

  /** How many runs had keys and values copied to the device; null if all do. See device-past.ts. */
  get cacheUploads(): number | null {
    return this.#onDevice?.uploads ?? null;
  }

  open(source: Source, options?: OpenOptions): SequenceId {
    return this.#sequences.open(source, { slot: null, recalled: NOTHING_RECALLED }, options);
  }

  async draft(...[sequence, guess]: Parameters<Experts['draft']>): Promise<readonly number[]> {
    // It throws: this driver has whole rows at hand, and guesses from the text instead
    // (drafter.ts).
    this.#sequences.toDraft(sequence, guess);
    return [];
  }

  sums(sequence: SequenceId): (Float32Array | null)[] {
    return this.#sequences.sums(sequence);
  }

  fork(sequence: SequenceId): SequenceId {
    return this.#sequences.fork(sequence, (own) => ({ ...own, slot: own.slot && this.#cache.fork(own.slot) }));
  }

  cut(sequence: SequenceId, length: number): void {
    this.#sequences.cut(sequence, length, (own) => {
      own.recalled = this.#prefixes.cut(own.recalled, length);
      if (own.slot) this.#cache.cut(own.slot, length);
    });
  }

  get prefixStats(): PrefixStats {
    return this.#prefixes.stats;
  }

  recall(sequence: SequenceId, prefix: Prefix): number {
    return this.#sequences.recall(sequence, prefix, ({ source, sums, own }) => {
      const { recalled, tokens } = this.#prefixes.recall(source, prefix, sums);
      own.recalled = recalled;
      return tokens;
    });
  }

  keep(sequence: SequenceId, prefix: Prefix): void {
    const { source, sums, own } = this.#sequences.toKeep(sequence, prefix);
    // Without a slot, it has nothing but what was recalled.
    if (own.slot !== null) this.#prefixes.keep(own.slot, { source, prefix, sums });
  }

  cacheBytes(lengths: readonly number[]): number {
    return this.#cache.bytesFor(lengths);
  }

  close(sequence: SequenceId): void {
    const slot = this.#sequences.close(sequence)?.slot;
    if (slot) this.#cache.release(slot);
    if (this.#onDevice !== null && this.openCount === 0) void this.#clearDevice(this.#onDevice);
  }

  /** Once no run can still read what is on the device. */
  async #clearDevice(onDevice: DevicePast): Promise<void> {
    await this.#turns.rest();
    if (this.openCount === 0) onDevice.clear();
  }

  append(steps: readonly Step[]): Promise<Output>[] {
    const leave = this.#sequences.enter(steps);
    return this.#turns.settle(steps.length, () => this.#append(steps).finally(leave));
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#sequences.dispose();
    await this.#turns.rest();
    this.#onDevice?.clear();
    await releaseAll(this.#sessions);
  }

  /**
   * Makes one run for running sequences, which have one new token each, or a few that want a row
   * each. Longer steps get another run, because in the same run the short ones would be padded to
   * their length. Prompts and answers share a run only if they share a session.
   */
  async #append(steps: readonly Step[]): Promise<(Output | Error)[]> {
    const results: (Output | Error | ReadyStep<Own>)[] = this.#sequences.ready(steps).map((ready) => this.#fits(ready));
    const ready = [...results.entries()].filter((entry): entry is [number, ReadyStep<Own>] => 'ids' in entry[1]);
    const isToken = ({ ids, sequence, step }: ReadyStep<Own>) => ids.length === rowsOf(step) && sequence.length > 0;
    const sessionOf = ({ step }: ReadyStep<Own>) => this.#sessions[step.reads ?? 'prompt'];
    const groups = [...new Set(Object.values(this.#sessions))].flatMap((session) =>
      [false, true].map((tokens) => ready.filter(([, one]) => sessionOf(one) === session && isToken(one) === tokens)),
    );
    for (const planned of groups) {
      // The run before may have taken so long that some sequences were closed.
      const group = planned.filter(([, { step, sequence }]) => this.#sequences.holds(step.sequence, sequence));
      for (const [i, { step }] of planned) results[i] = wasClosed(step);
      if (group.length === 0) continue;
      const outcomes = await this.#runs.feed(
        group.map(([, one]) => one),
        sessionOf(group[0]![1]),
      );
      group.forEach(([i], row) => {
        results[i] = outcomes[row]!;
      });
    }
    // Every ready step has been replaced by its outcome.
    return results as (Output | Error)[];
  }

  #fits(ready: ReadyStep<Own> | SequenceError): ReadyStep<Own> | SequenceError {
    if (ready instanceof SequenceError) return ready;
    const length = ready.sequence.length + ready.ids.length;
    const most = this.#config.max_position_embeddings;
    return length <= most ? ready : new SequenceError(`${length} tokens do not fit into a context of ${most}`);
  }
}

/** Prompts and answers may share one. */
async function releaseAll(sessions: ReadSessions): Promise<void> {
  for (const session of new Set(Object.values(sessions))) await session.release();
}
