/**
 * The runs of the driver on onnxruntime: they feed sequences their tokens, keep keys and values,
 * and give what the graph predicts. Prompts that come together are padded on the right to the
 * longest, and read some tokens at a time.
 *
 * The head is computed only where a step wants a row: at its last tokens, and nowhere in the other
 * runs of a long prompt or in rows that belong to no sequence.
 */
import type { GraphSession } from '../graph/session.ts';
import { type DecoderConfig, headDim, slidingWindow } from '../model/config.ts';
import type { ExpertRole } from '../model/manifest.ts';
import { type BatchedStep, type BatchOptions, batchFeeds, type Heads } from './batch-feeds.ts';
import type { DevicePast } from './device-past.ts';
import { type Output, outputOf, type Prediction, type Step } from './experts.ts';
import type { KeptPrefixes, Recalled } from './kept-prefixes.ts';
import type { KvCache, Slot } from './kv-cache.ts';
import { sumLayersOf } from './onnx-sessions.ts';
import { type ReadyStep, SequenceError, type Sequences } from './sequences.ts';
import type { ServableBundle } from './serving-weights.ts';
import type { Part } from './span-sums.ts';
import { asError } from './turns.ts';

/** What this driver keeps for a sequence: a slot, from its first run on, and how it began. */
export type Own = { slot: Slot | null; recalled: Recalled };
/** A step on its way through one or more runs. */
type Feeding = ReadyStep<Own> & {
  slot: Slot;
  /** How many of its ids are in the cache. */
  fed: number;
  /** What it predicts after the ids that want a row, as far as it is fed. */
  predictions: Prediction[];
};

type OnnxRunsOptions = {
  cache: KvCache;
  prefixes: KeptPrefixes;
  sequences: Sequences<Own>;
  /** The session that reads answers, and what it left on the device. */
  answer: GraphSession;
  onDevice: DevicePast | null;
  gates: BatchOptions['gates'];
  /** The most tokens of one run, over all rows, as long as each row has one. */
  runTokens: number;
};

export class OnnxRuns {
  readonly #config: DecoderConfig;
  readonly #heads: Heads;
  readonly #roles: readonly ExpertRole[];
  /** How many numbers a sum of hidden states has; 0 if there are none. */
  readonly #sumWidth: number;
  readonly #cache: KvCache;
  readonly #prefixes: KeptPrefixes;
  readonly #sequences: Sequences<Own>;
  readonly #answer: GraphSession;
  readonly #onDevice: DevicePast | null;
  readonly #gates: BatchOptions['gates'];
  readonly #runTokens: number;

  constructor(
    bundle: ServableBundle,
    { cache, prefixes, sequences, answer, onDevice, gates, runTokens }: OnnxRunsOptions,
  ) {
    const { config, experts } = bundle;
    this.#config = config;
    this.#roles = experts.map((expert) => expert.role);
    const keyValue = config.num_key_value_heads;
    this.#heads = { keyValue, groups: config.num_attention_heads / keyValue, size: headDim(config) };
    this.#sumWidth = sumLayersOf(bundle).length * config.hidden_size;
    this.#cache = cache;
    this.#prefixes = prefixes;
    this.#sequences = sequences;
    this.#answer = answer;
    this.#onDevice = onDevice;
    this.#gates = gates;
    this.#runTokens = runTokens;
  }

  /**
   * Feeds each sequence its tokens, in as many runs as that takes. If a run fails, the sequences
   * that were not through are as they were before.
   */
  async feed(ready: readonly ReadyStep<Own>[], session: GraphSession): Promise<(Output | Error)[]> {
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
    const onDevice = session === this.#answer ? this.#onDevice : null;
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
      sums: this.#sumWidth > 0,
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
    const { hidden_size, num_hidden_layers, vocab_size } = this.#config;
    const part = (name: string, width: number) => rowOf(outputs[name]!, { place, width });
    const gates = () => part('gates', num_hidden_layers * this.#roles.length);
    return {
      row: { logits: part('logits', vocab_size) },
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

/** How many rows it asks for. */
export const rowsOf = ({ want }: Step) => want?.positions ?? 1;

export const wasClosed = ({ sequence }: Step) => new SequenceError(`sequence ${sequence} was closed`);
