/**
 * Experts that run on engines of other people: vLLM, SGLang, llama.cpp's server. A sequence here is
 * a list of ids; its keys and values are in the engine's prefix cache, if anywhere. Every row is
 * truncated to the k likeliest tokens.
 *
 * Whichever way a row was asked for (alone, among several positions, or beside the tokens of a
 * draft), it is the same k tokens with the same log-probabilities, up to the engine's rounding. So
 * how many positions are asked for at a time changes no answer.
 *
 * Two rows that the gate will compare are paired as in mixing at the edge (pair-rows.ts of the
 * gate): what one expert did not say of the other one's tokens is filled in so that every law of
 * the gate holds whatever the truth is. Asking again would cost a round trip for every token.
 */
import { type OwnRow, pairRows } from '#shared/gate/pair-rows.ts';
import type {
  Abilities,
  Experts,
  OpenOptions,
  Output,
  PrefixStats,
  Row,
  SequenceId,
  Source,
  Step,
} from '../engine/experts.ts';
import { NO_PREFIXES, outputOf } from '../engine/experts.ts';
import { type ReadyStep, SequenceError, Sequences } from '../engine/sequences.ts';
import { asError, Turns } from '../engine/turns.ts';
import type { ExpertRole } from '../model/manifest.ts';
import type { Home, RemoteEngine } from './ask-engine.ts';

type Own = {
  ids: readonly number[];
  gone: AbortController;
  cacheSalt: string | null;
  /** Which server is asked: by the salt and by how the first question begins. null before it. */
  stay: Stay | null;
  /** What its expert said while it guessed on; used by the next step, if that follows the guess. */
  ahead: Ahead | null;
};

type Stay = { affinity: string; home: Home };

/** `rows[i]` is what the expert gives the token after the first `from + i` of these ids. */
type Ahead = { ids: readonly number[]; from: number; rows: readonly OwnRow[] };

export type RemoteOptions = {
  /** V */
  vocabSize: number;
  /** k, the same for both engines */
  topK: number;
  /** The most positions that are asked for at a time; 1 makes no drafts. */
  positions?: number;
  /** The salt of a tenant's part of an engine's prefix cache; none if left out. */
  cacheSaltOf?: (tenant: string) => string;
};

/** How many ids at the start of a sequence's prompt decide which servers may have it. */
const AFFINITY_IDS = 256;

export class RemoteExperts implements Experts {
  readonly vocabSize: number;
  readonly abilities: Abilities;
  readonly prefixStats: PrefixStats = NO_PREFIXES;
  readonly #engines: Record<ExpertRole, RemoteEngine>;
  readonly #sequences: Sequences<Own>;
  readonly #turns = new Turns();
  readonly #disposed = new AbortController();

  readonly #cacheSaltOf: ((tenant: string) => string) | null;

  constructor(
    engines: Record<ExpertRole, RemoteEngine>,
    { vocabSize, topK, positions = 1, cacheSaltOf }: RemoteOptions,
  ) {
    this.#engines = engines;
    this.#cacheSaltOf = cacheSaltOf ?? null;
    this.vocabSize = vocabSize;
    this.abilities = {
      hidden: false,
      layers: false,
      fork: true,
      score: true,
      draft: positions - 1,
      sums: false,
      prefixes: false,
      topK: Math.min(topK, vocabSize),
    };
    this.#sequences = new Sequences({ vocabSize, abilities: this.abilities });
  }

  get openCount(): number {
    return this.#sequences.size;
  }

  open(source: Source, options: OpenOptions = {}): SequenceId {
    const cacheSalt = this.#cacheSaltOf?.(options.tenant ?? '') ?? null;
    return this.#sequences.open(
      source,
      { ids: [], gone: new AbortController(), cacheSalt, stay: null, ahead: null },
      options,
    );
  }

  sums(sequence: SequenceId): (Float32Array | null)[] {
    return this.#sequences.sums(sequence);
  }

  fork(sequence: SequenceId): SequenceId {
    const { source, own } = this.#sequences.get(sequence);
    // What was read so far asked nothing if the prompt goes on. Its forks stay together.
    if (own.ids.length > 0) own.stay ??= this.#settle(own.ids, { source, own });
    return this.#sequences.fork(sequence, ({ stay, ...own }) => ({
      ...{ ...own, gone: new AbortController(), ahead: null },
      stay: stay && { ...stay, home: this.#engine(source).stayAt(stay.home.url) },
    }));
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
    const own = this.#sequences.close(sequence);
    own?.stay?.home.leave();
    own?.gone.abort(new SequenceError(`sequence ${sequence} was closed`));
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

  async draft(...[id, { ids, count }]: Parameters<Experts['draft']>): Promise<readonly number[]> {
    const { source, own } = this.#sequences.toDraft(id, { ids, count });
    const before = [...own.ids, ...ids];
    // The last token only comes with the row that it was chosen from.
    const said = await this.#engine(source).goOn(before, {
      ...this.#asking(before, { source, own }),
      count: count + 1,
      insists: false,
    });
    const guess = said.ids.slice(0, -1);
    own.ahead = { ids: [...before, ...guess], from: before.length, rows: said.rows };
    return guess;
  }

  async #append(steps: readonly Step[]): Promise<(Output | Error)[]> {
    const ready = this.#sequences.ready(steps);
    const asked = await Promise.all(ready.map((one) => (one instanceof Error ? one : this.#ask(one).catch(asError))));
    return asked.map((own, i) => {
      if (own instanceof Error) return own;
      // A step that settled with rows was ready.
      const { step, sequence, ids } = ready[i] as ReadyStep<Own>;
      const other = asked[steps.findIndex(({ sequence: id }) => id === step.beside)];
      const beside = other === undefined || other instanceof Error ? [] : other;
      const rows = attempt(() => this.#pair(sequence.source, own, beside));
      if (rows instanceof Error) return rows;
      sequence.own.ids = [...sequence.own.ids, ...ids];
      sequence.own.ahead = null;
      sequence.length += ids.length;
      return outputOf(rows.map((row) => ({ row, hidden: null, alpha: null })));
    });
  }

  /** One row for each position that is wanted. */
  async #ask({ step, sequence, ids }: ReadyStep<Own>): Promise<OwnRow[]> {
    const { source, own } = sequence;
    const positions = step.want?.positions ?? 1;
    if (positions === 0) return [];
    const all = [...own.ids, ...ids];
    return (
      rowsAhead(own.ahead, { ids: all, positions }) ??
      this.#engine(source).rows(all, { ...this.#asking(all, sequence), positions })
    );
  }

  #engine(source: Source): RemoteEngine {
    // `Sequences` opens no sequence of another source, because these experts have no layers.
    return this.#engines[source as ExpertRole];
  }

  #asking(ids: readonly number[], { source, own }: { source: Source; own: Own }) {
    // Found once: a short prompt begins otherwise with every token that follows it.
    own.stay ??= this.#settle(ids, { source, own });
    const { gone, cacheSalt, stay } = own;
    const signal = AbortSignal.any([gone.signal, this.#disposed.signal]);
    return { affinity: stay.affinity, home: stay.home.url, cacheSalt, signal };
  }

  /** Tenants share nothing in a cache, so their prompts need not meet on a server. */
  #settle(ids: readonly number[], { source, own }: { source: Source; own: Own }): Stay {
    const affinity = `${own.cacheSalt ?? ''} ${ids.slice(0, AFFINITY_IDS).join()}`;
    return { affinity, home: this.#engine(source).settle(affinity) };
  }

  /** Pairs rows that predict the same position, counted from the end. */
  #pair(source: Source, own: readonly OwnRow[], beside: readonly OwnRow[]): Row[] {
    return own.map((row, i) => this.#row(source, row, beside[beside.length - own.length + i] ?? null));
  }

  #row(source: Source, own: OwnRow, beside: OwnRow | null): Row {
    const topK = this.abilities.topK!;
    if (beside === null) return { ids: own.ids, logprobs: own.logprobs, topK };
    const [safety, helpful] = source === 'safety' ? [own, beside] : [beside, own];
    const { ids, safetyLogprobs, helpfulLogprobs } = pairRows(safety, helpful, { topK });
    return { ids, logprobs: source === 'safety' ? safetyLogprobs : helpfulLogprobs!, topK };
  }
}

/** The rows after the last `positions` of these ids, if a guess has brought them all. */
function rowsAhead(
  ahead: Ahead | null,
  { ids, positions }: { ids: readonly number[]; positions: number },
): OwnRow[] | null {
  if (ahead === null || ids.length > ahead.ids.length || ids.some((id, i) => id !== ahead.ids[i])) return null;
  const first = ids.length - positions + 1 - ahead.from;
  const rows = first < 0 ? [] : ahead.rows.slice(first, first + positions);
  return rows.length === positions ? rows : null;
}

function attempt<T>(make: () => T): T | Error {
  try {
    return make();
  } catch (thrown) {
    return asError(thrown);
  }
}
