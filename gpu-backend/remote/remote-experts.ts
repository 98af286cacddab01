/**
 * Experts that run on engines of other people: vLLM, SGLang, llama.cpp's server. A sequence here is
 * a list of ids; its keys and values are in the engine's prefix cache, if anywhere. Every row is
 * truncated to the k likeliest tokens.
 *
 * Two rows that the gate will compare are paired as in mixing at the edge (pair-rows.ts of the
 * gate): what one expert did not say of the other one's tokens is filled in so that every law of
 * the gate holds whatever the truth is. Asking again would cost a round trip for every token.
 */
import { type OwnRow, pairRows } from '#shared/gate/pair-rows.ts';
import type { Abilities, Experts, Output, PrefixStats, Row, SequenceId, Source, Step } from '../engine/experts.ts';
import { NO_OUTPUT, NO_PREFIXES } from '../engine/experts.ts';
import { type ReadyStep, SequenceError, Sequences } from '../engine/sequences.ts';
import { asError, Turns } from '../engine/turns.ts';
import type { ExpertRole } from '../model/manifest.ts';
import type { RemoteEngine } from './ask-engine.ts';

type Own = { ids: readonly number[]; gone: AbortController };

/** How many ids at the start of a sequence decide which server has it in its prefix cache. */
const AFFINITY_IDS = 256;

export class RemoteExperts implements Experts {
  readonly vocabSize: number;
  readonly abilities: Abilities;
  readonly prefixStats: PrefixStats = NO_PREFIXES;
  readonly #engines: Record<ExpertRole, RemoteEngine>;
  readonly #sequences: Sequences<Own>;
  readonly #turns = new Turns();
  readonly #disposed = new AbortController();

  /**
   * @param topK k, the same for both engines
   * @param vocabSize V
   */
  constructor(engines: Record<ExpertRole, RemoteEngine>, { vocabSize, topK }: { vocabSize: number; topK: number }) {
    this.#engines = engines;
    this.vocabSize = vocabSize;
    this.abilities = {
      hidden: false,
      layers: false,
      fork: true,
      score: false,
      sums: false,
      prefixes: false,
      topK: Math.min(topK, vocabSize),
    };
    this.#sequences = new Sequences({ vocabSize, abilities: this.abilities });
  }

  get openCount(): number {
    return this.#sequences.size;
  }

  open(source: Source, options?: Parameters<Experts['open']>[1]): SequenceId {
    return this.#sequences.open(source, { ids: [], gone: new AbortController() }, options);
  }

  sums(sequence: SequenceId): (Float32Array | null)[] {
    return this.#sequences.sums(sequence);
  }

  fork(sequence: SequenceId): SequenceId {
    return this.#sequences.fork(sequence, ({ ids }) => ({ ids, gone: new AbortController() }));
  }

  cut(sequence: SequenceId, length: number): void {
    this.#sequences.cut(sequence, length, (own) => {
      own.ids = own.ids.slice(0, length);
    });
  }

  recall(...args: Parameters<Experts['recall']>): number {
    return this.#sequences.recall(...args, () => 0);
  }

  keep(...args: Parameters<Experts['keep']>): void {
    this.#sequences.toKeep(...args);
  }

  cacheBytes(): number {
    return 0;
  }

  close(sequence: SequenceId): void {
    this.#sequences.close(sequence)?.gone.abort(new SequenceError(`sequence ${sequence} was closed`));
  }

  append(steps: readonly Step[]): Promise<Output>[] {
    const leave = this.#sequences.enter(steps);
    return this.#turns.settle(steps.length, () => this.#append(steps).finally(leave));
  }

  async dispose(): Promise<void> {
    this.#sequences.dispose();
    this.#disposed.abort(new SequenceError('these experts were disposed'));
    await this.#turns.rest();
  }

  async #append(steps: readonly Step[]): Promise<(Output | Error)[]> {
    const ready = this.#sequences.ready(steps);
    const rows = await Promise.all(ready.map((one) => (one instanceof Error ? one : this.#ask(one).catch(asError))));
    return rows.map((own, i) => {
      if (own instanceof Error) return own;
      // A step that settled with a row was ready.
      const { step, sequence, ids } = ready[i] as ReadyStep<Own>;
      const other = rows[steps.findIndex(({ sequence: id }) => id === step.beside)];
      const row = own && attempt(() => this.#row(sequence.source, own, isRow(other) ? other : null));
      if (row instanceof Error) return row;
      sequence.own.ids = [...sequence.own.ids, ...ids];
      sequence.length += ids.length;
      return row === null ? NO_OUTPUT : { row, hidden: null, alpha: null, earlier: [] };
    });
  }

  /** null if nothing is to be predicted after these ids. */
  async #ask({ step, sequence, ids }: ReadyStep<Own>): Promise<OwnRow | null> {
    if (step.want?.positions === 0) return null;
    const all = [...sequence.own.ids, ...ids];
    // `Sequences` opens no sequence of another source, because these experts have no layers.
    const engine = this.#engines[sequence.source as ExpertRole];
    const signal = AbortSignal.any([sequence.own.gone.signal, this.#disposed.signal]);
    return engine.next(all, { affinity: all.slice(0, AFFINITY_IDS).join(), signal });
  }

  #row(source: Source, own: OwnRow, beside: OwnRow | null): Row {
    const topK = this.abilities.topK!;
    if (beside === null) return { ids: own.ids, logprobs: own.logprobs, topK };
    const [safety, helpful] = source === 'safety' ? [own, beside] : [beside, own];
    const { ids, safetyLogprobs, helpfulLogprobs } = pairRows(safety, helpful, { topK });
    return { ids, logprobs: source === 'safety' ? safetyLogprobs : helpfulLogprobs!, topK };
  }
}

const isRow = (one: OwnRow | Error | null | undefined): one is OwnRow =>
  one !== null && one !== undefined && !(one instanceof Error);

function attempt<T>(make: () => T): T | Error {
  try {
    return make();
  } catch (thrown) {
    return asError(thrown);
  }
}
