/**
 * Experts on onnxruntime. One run serves every row. Each row reads the same base weights, and its
 * gates select its expert from the stacked LoRA (or mix the experts), so two experts cost little
 * more than one. Prompts that come together are padded on the right to the longest, and read some
 * tokens at a time; after that, each row has its own length. This driver keeps keys and values
 * itself: see kv-cache.ts.
 *
 * The head is computed only where a step wants a row: at its last tokens, and nowhere in the other
 * runs of a long prompt or in rows that belong to no sequence.
 *
 * If the bundle's weights are multiplied differently for prompts and answers, each has a session of
 * its own. A run is one or the other.
 */
import { GraphSession, type SessionOptions } from '../graph/session.ts';
import { type DecoderConfig, headDim, slidingWindow } from '../model/config.ts';
import type { Span } from '../model/looked-messages.ts';
import type { ExpertRole } from '../model/manifest.ts';
import { buildServingGraph } from '../model/serving-graph.ts';
import { type BatchedStep, type BatchOptions, batchFeeds, type Heads } from './batch-feeds.ts';
import { DevicePast } from './device-past.ts';
import {
  type Abilities,
  type Experts,
  type Output,
  outputOf,
  type Prediction,
  type Prefix,
  type PrefixStats,
  type SequenceId,
  type Source,
  type Step,
} from './experts.ts';
import { KeptPrefixes, NOTHING_RECALLED, type Recalled } from './kept-prefixes.ts';
import { KvCache, type Slot } from './kv-cache.ts';
import { type ReadyStep, SequenceError, Sequences } from './sequences.ts';
import { isMixed, type ServableBundle, servingWeights } from './serving-weights.ts';
import { sharedLayers } from './shared-layers.ts';
import type { Part } from './span-sums.ts';
import { asError, Turns } from './turns.ts';

/** What this driver keeps for a sequence: a slot, from its first run on, and how it began. */
type Own = { slot: Slot | null; recalled: Recalled };
/** A step on its way through one or more runs. */
type Feeding = ReadyStep<Own> & {
  slot: Slot;
  /** How many of its ids are in the cache. */
  fed: number;
  /** What it predicts after the ids that want a row, as far as it is fed. */
  predictions: Prediction[];
};

/** The session that reads prompts, and the one that reads answers. */
type ReadSessions = Record<'prompt' | 'answer', GraphSession>;

/**
 * How many tokens a run computes, over all rows. Attention scores take the most memory: heads x
 * tokens x context, several times over. With a bound on tokens, that is linear in the context and
 * does not grow with the prompt. Two rows of 2,048 tokens of SmolLM2-135M peak at 1.2, 1.7 and 2.1
 * times their keys and values with 128, 256 and 512, and 128 take 1.5 times as long as 256.
 */
const RUN_TOKENS = 256;

export type OnnxOptions = Omit<SessionOptions, 'weightsFolder' | 'spinning' | 'onDevice'> & {
  /**
   * Leaves keys and values where they were computed, from run to run (device-past.ts). The default
   * is to do so on WebGPU alone: only there is it another place than the slab's.
   */
  keepsPast?: boolean;
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
  readonly #heads: Heads;
  /** The same one twice, unless prompts and answers are multiplied differently. */
  readonly #sessions: ReadSessions;
  readonly #roles: readonly ExpertRole[];
  readonly #gates: BatchOptions['gates'];
  /** How many numbers a sum of hidden states has; 0 if there are none. */
  readonly #sumWidth: number;
  readonly #runTokens: number;
  readonly #cache: KvCache;
  readonly #prefixes: KeptPrefixes;
  /** What the session that reads answers left on the device; null if every run is fed. */
  readonly #onDevice: DevicePast | null;
  readonly #sequences: Sequences<Own>;
  readonly #turns = new Turns();
  #disposed = false;

  private constructor(
    sessions: ReadSessions,
    bundle: ServableBundle,
    {
      gates,
      runTokens,
      prefixBytes,
      kvBytes,
      onDevice,
    }: { gates: BatchOptions['gates']; onDevice: DevicePast | null } & Required<
      Pick<OnnxOptions, 'runTokens' | 'prefixBytes' | 'kvBytes'>
    >,
  ) {
    const { config, experts } = bundle;
    this.#sessions = sessions;
    this.#onDevice = onDevice;
    this.#runTokens = runTokens;
    this.#config = config;
    this.#gates = gates;
    this.#sumWidth = sumLayersOf(bundle).length * config.hidden_size;
    this.vocabSize = config.vocab_size;
    this.abilities = {
      hidden: true,
      layers: gates === 'routed',
      fork: true,
      score: true,
      sums: sumLayersOf(bundle).length > 0,
      prefixes: prefixBytes > 0,
      topK: null,
    };
    this.#roles = experts.map((expert) => expert.role);
    const keyValue = config.num_key_value_heads;
    this.#heads = { keyValue, groups: config.num_attention_heads / keyValue, size: headDim(config) };
    const shape = { layers: config.num_hidden_layers, width: keyValue * headDim(config) };
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
  }

  static async create(
    bundle: ServableBundle,
    { runTokens = RUN_TOKENS, prefixBytes = 0, kvBytes = null, keepsPast, ...options }: OnnxOptions = {},
  ): Promise<OnnxExperts> {
    const { config } = bundle;
    const { provider } = options;
    const { lora } = servingWeights(bundle, { provider });
    const gates = lora === null ? 'none' : lora.router === null ? 'fixed' : 'routed';
    const inFile = 'base' in bundle && { weightsFolder: bundle.base.folder };
    const onDevice = (keepsPast ?? provider === 'webgpu') ? new DevicePast({ layers: config.num_hidden_layers }) : null;
    const sessionFor = (reads: 'prompt' | 'answer') => {
      const { base } = servingWeights(bundle, { provider, reads });
      const kept = reads === 'answer' && onDevice !== null ? onDevice.names.map(({ next }) => next) : [];
      // On WebGPU, only plain products run on the device.
      const model = buildServingGraph(
        config,
        { base, lora },
        { strided: provider !== 'webgpu', nextPast: kept.length > 0, sumLayers: sumLayersOf(bundle) },
      );
      return GraphSession.create(model, { ...options, ...inFile, onDevice: kept, spinning: reads === 'answer' });
    };
    const answer = await sessionFor('answer');
    try {
      const prompt = isMixed(bundle) ? await sessionFor('prompt') : answer;
      return new OnnxExperts({ prompt, answer }, bundle, { gates, runTokens, prefixBytes, kvBytes, onDevice });
    } catch (thrown) {
      await answer.release();
      throw thrown;
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

  open(source: Source, options?: { sums?: readonly Span[] }): SequenceId {
    return this.#sequences.open(source, { slot: null, recalled: NOTHING_RECALLED }, options);
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
    for (const session of new Set(Object.values(this.#sessions))) await session.release();
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
      const outcomes = await this.#feed(
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

  /**
   * Feeds each sequence its tokens, in as many runs as that takes. If a run fails, the sequences
   * that were not through are as they were before.
   */
  async #feed(ready: readonly ReadyStep<Own>[], session: GraphSession): Promise<(Output | Error)[]> {
    const feeding = this.#withSlots(ready);
    const outcomes = new Map<Feeding, Output | Error>();
    while (outcomes.size < feeding.length) {
      for (const one of feeding) {
        // It was closed between two runs.
        if (!outcomes.has(one) && !this.#holds(one)) outcomes.set(one, wasClosed(one.step));
      }
      const left = feeding.filter((one) => !outcomes.has(one));
      if (left.length === 0) break;
      try {
        for (const [one, output] of await this.#run(left, session)) outcomes.set(one, output);
      } catch (thrown) {
        for (const one of left) {
          if (this.#holds(one)) {
            this.#cache.cut(one.slot, one.slot.length - one.fed);
            one.sequence.sums?.cut(one.sequence.length);
          }
          outcomes.set(one, asError(thrown));
        }
      }
    }
    // Every one has its outcome now.
    return feeding.map((one) => outcomes.get(one)!);
  }

  #holds({ step, sequence }: Feeding): boolean {
    return this.#sequences.holds(step.sequence, sequence);
  }

  async #run(left: readonly Feeding[], session: GraphSession): Promise<Map<Feeding, Output>> {
    try {
      return await this.#runOnce(left, session);
    } finally {
      this.#cache.endRun();
    }
  }

  /**
   * Makes one run: feeds each sequence its next tokens and keeps their keys and values. Returns the
   * outputs of the sequences that are through.
   */
  async #runOnce(left: readonly Feeding[], session: GraphSession): Promise<Map<Feeding, Output>> {
    const onDevice = session === this.#sessions.answer ? this.#onDevice : null;
    const mostNext = Math.max(...left.map(({ ids, fed }) => ids.length - fed));
    const past = this.#cache.past(
      left.map(({ slot }) => slot),
      { next: mostNext, whole: onDevice !== null },
    );
    const most = Math.max(1, Math.floor(this.#runTokens / past.rows));
    const parts = left.map(({ ids, fed, sequence: { sums, length } }) => {
      const from = length + fed;
      return sums?.partsIn({ from, to: from + Math.min(most, ids.length - fed) }) ?? [];
    });
    const batch = left.map(({ ids, fed, slot, sequence: { source, length }, step }, i) => {
      const part = ids.slice(fed, fed + most);
      const unwanted = ids.length - rowsOf(step);
      const wanted = Math.max(0, fed + part.length - Math.max(fed, unwanted));
      const before = length + fed;
      const summed = parts[i]!.map(({ from, to }) => ({ from: from - before, to: to - before }));
      return { ids: part, slot, source, bounds: step.bounds, wanted, summed };
    });
    const feeds = batchFeeds(batch, {
      past,
      heads: this.#heads,
      roles: this.#roles,
      gates: this.#gates,
      lastPosition: this.#config.max_position_embeddings - 1,
      window: slidingWindow(this.#config),
      sums: this.abilities.sums,
    });
    const through = left.filter(({ ids, fed }) => fed + most >= ids.length);
    const wired = onDevice?.feeds(feeds, past) ?? { feeds, keep: [] };
    const { outputs, kept: next } = await session.runAndKeep(wired.feeds, {
      fetches: this.#fetches(batch, left),
      keep: wired.keep,
    });
    const perLayer = (name: string) => past.keys.map((_, layer) => outputs[`${name}.${layer}`]!);
    const fresh = { keys: perLayer('new_k'), values: perLayer('new_v') };
    // A sequence closed in the meantime has given its slot back, and another may have it now.
    const kept = left.flatMap((one, i) =>
      this.#holds(one) ? [{ one, slot: one.slot, row: past.rowOf[i]!, count: batch[i]!.ids.length }] : [],
    );
    this.#cache.append(kept, { fresh, rows: past.rows });
    if (past.slab !== null) onDevice?.take(next, past);
    this.#addSums(left, parts, outputs);
    for (const { one, count } of kept) one.fed += count;
    for (const one of through) if (this.#holds(one)) one.sequence.length += one.ids.length;
    const outcomes = new Map<Feeding, Output>();
    let end = 0;
    for (const [i, one] of left.entries()) {
      const { wanted } = batch[i]!;
      for (let place = end; place < end + wanted; place++) {
        one.predictions.push(this.#predict(one, { outputs, place }));
      }
      end += wanted;
      if (!through.includes(one)) continue;
      outcomes.set(one, outputOf(one.predictions));
      one.sequence.own.recalled = this.#prefixes.judge(one.sequence.own.recalled, one.predictions);
    }
    return outcomes;
  }

  /** @param parts of each, in the order of the output `sums` */
  #addSums(left: readonly Feeding[], parts: readonly (readonly Part[])[], outputs: Record<string, Float32Array>): void {
    let place = 0;
    for (const [i, one] of left.entries()) {
      for (const part of parts[i]!) {
        // A copy: the rest of the output need not stay.
        const sum = rowOf(outputs.sums!, { place: place++, width: this.#sumWidth }).slice();
        if (this.#holds(one)) one.sequence.sums?.add(part, sum);
      }
    }
  }

  /** Gives each sequence a slot, with room for all its new tokens. */
  #withSlots(ready: readonly ReadyStep<Own>[]): Feeding[] {
    const fresh = this.#cache.take(ready.filter(({ sequence }) => sequence.own.slot === null).length);
    const feeding = ready.map((one) => {
      const { own } = one.sequence;
      own.slot ??= fresh.shift()!;
      return { ...one, slot: own.slot, fed: 0, predictions: [] };
    });
    const long = feeding.filter(
      ({ ids, sequence, step }) => ids.length > rowsOf(step) || sequence.own.recalled.blocks.length > 0,
    );
    this.#cache.reserve(Math.max(0, ...long.map(({ ids, sequence }) => sequence.length + ids.length)));
    for (const { sequence, slot } of feeding) {
      const { own, length } = sequence;
      own.recalled = this.#prefixes.copyInto(slot, { recalled: own.recalled, length });
    }
    return feeding;
  }

  /** Every fetched output is copied, so this fetches only what some step uses. */
  #fetches(batch: readonly BatchedStep[], left: readonly Feeding[]): string[] {
    const wanting = left.filter((_, i) => batch[i]!.wanted > 0);
    const layers = Array.from({ length: this.#cache.shape.layers }, (_, layer) => [`new_k.${layer}`, `new_v.${layer}`]);
    return [
      ...(wanting.length > 0 ? ['logits'] : []),
      ...(wanting.some(({ step }) => step.want?.hidden) ? ['hidden'] : []),
      ...(wanting.some(({ sequence }) => sequence.source === 'layers') ? ['gates'] : []),
      ...(batch.some(({ summed = [] }) => summed.length > 0) ? ['sums'] : []),
      ...layers.flat(),
    ];
  }

  /** @param place of the token among the wanted ones */
  #predict(
    { step, sequence }: Feeding,
    { outputs, place }: { outputs: Record<string, Float32Array>; place: number },
  ): Prediction {
    const { hidden_size, num_hidden_layers } = this.#config;
    const part = (name: string, width: number) => rowOf(outputs[name]!, { place, width });
    const gates = () => part('gates', num_hidden_layers * this.#roles.length);
    return {
      row: { logits: part('logits', this.vocabSize) },
      hidden: step.want?.hidden ? part('hidden', hidden_size) : null,
      alpha: sequence.source === 'layers' ? this.#meanAlpha(gates()) : null,
    };
  }

  /** `gates [L, E]` of one row. */
  #meanAlpha(gates: Float32Array): number {
    const E = this.#roles.length;
    const L = gates.length / E;
    let sum = 0;
    for (let layer = 0; layer < L; layer++) sum += gates[layer * E + this.#roles.indexOf('safety')]!;
    return sum / L;
  }
}

/** One row of a matrix `[..., width]`. */
const rowOf = (matrix: Float32Array, { place, width }: { place: number; width: number }) =>
  matrix.subarray(place * width, (place + 1) * width);

/** Whose states the graph sums: those that the bundle's probe reads. */
const sumLayersOf = ({ probe }: ServableBundle): readonly number[] => probe?.head.layers ?? [];

/** How many rows it asks for. */
const rowsOf = ({ want }: Step) => want?.positions ?? 1;

const wasClosed = ({ sequence }: Step) => new SequenceError(`sequence ${sequence} was closed`);
