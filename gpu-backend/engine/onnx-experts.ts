/**
 * The row model on onnxruntime. One run serves every row: each reads the same base weights, and its gates pick its expert
 * out of the stacked LoRA (or mix them), so that two experts cost little more than one. Prompts are padded on the right to the
 * longest of those that join together; each row then sits at its own length.
 */
import { type Feed, float32, GraphSession, int64 } from '../graph/session.ts';
import { headDim, type LlamaConfig } from '../model/config.ts';
import { buildServingGraph } from '../model/decoder.ts';
import type { Bundle } from '../model/load-bundle.ts';
import type { ExpertRole } from '../model/manifest.ts';
import type { Experts, NewRow, RowOutput, RowSource, RowStep } from './experts.ts';
import { gateBounds } from './gate-bounds.ts';
import { type CacheShape, KvCache, MASKED } from './kv-cache.ts';
import { servingWeights } from './serving-weights.ts';

export class OnnxExperts implements Experts {
  readonly vocabSize: number;
  readonly #config: LlamaConfig;
  readonly #session: GraphSession;
  readonly #roles: readonly ExpertRole[];
  readonly #hasLayersRouter: boolean;
  readonly #cacheShape: CacheShape;
  #cache: KvCache;

  private constructor(session: GraphSession, { config, experts, routers }: Bundle) {
    this.#session = session;
    this.#config = config;
    this.vocabSize = config.vocab_size;
    this.#roles = experts.map((expert) => expert.role);
    this.#hasLayersRouter = routers.layers !== null;
    this.#cacheShape = { layers: config.num_hidden_layers, width: config.num_key_value_heads * headDim(config) };
    this.#cache = new KvCache(this.#cacheShape, 0);
  }

  static async create(bundle: Bundle, { threads = 0 }: { threads?: number } = {}): Promise<OnnxExperts> {
    const model = buildServingGraph(bundle.config, servingWeights(bundle));
    return new OnnxExperts(await GraphSession.create(model, { threads }), bundle);
  }

  get rowCount(): number {
    return this.#cache.rowCount;
  }

  async add(rows: readonly NewRow[]): Promise<RowOutput[]> {
    const joining = new KvCache(this.#cacheShape, rows.length);
    const outputs = await this.#run(joining, rows);
    const both = [this.#cache, joining].flatMap((cache) => cache.lengths.map((_, row) => ({ cache, row })));
    this.#cache = KvCache.pack(this.#cacheShape, both);
    return outputs;
  }

  async advance(steps: readonly RowStep[]): Promise<RowOutput[]> {
    return this.#run(
      this.#cache,
      steps.map(({ source, id }) => ({ source, ids: [id] })),
    );
  }

  keep(rows: readonly number[]): void {
    this.#cache = KvCache.pack(
      this.#cacheShape,
      rows.map((row) => ({ cache: this.#cache, row })),
    );
  }

  async close(): Promise<void> {
    await this.#session.release();
  }

  /** Feeds each row of `cache` its tokens, appends their keys and values, and returns what each says after its last one. */
  async #run(cache: KvCache, rows: readonly NewRow[]): Promise<RowOutput[]> {
    const { layers, width } = this.#cacheShape;
    const B = rows.length;
    const sources = rows.map(({ source }) => source);
    const counts = rows.map(({ ids }) => ids.length);
    const T = Math.max(...counts);
    const P = cache.pastLength;
    const padded = rows.map(({ ids }) => Array.from({ length: T }, (_, t) => ids[t] ?? 0));
    // Padding must stay a valid position of the rotary table; what it computes is never read.
    const lastPosition = this.#config.max_position_embeddings - 1;
    const positions = cache.lengths.flatMap((length) =>
      Array.from({ length: T }, (_, t) => Math.min(length + t, lastPosition)),
    );
    const feeds: Record<string, Feed> = {
      ids: int64([B, T], padded.flat()),
      positions: int64([B, T], positions),
      past_mask: float32([B, 1, 1, P], cache.pastMask()),
      new_mask: float32([B, 1, T, T], causalMask(B, T)),
      ...this.#gateFeeds(sources),
      last: int64(
        [B],
        counts.map((count) => count - 1),
      ),
    };
    const fetches = ['logits', ...this.#extraFetches(sources)];
    for (let layer = 0; layer < layers; layer++) {
      const { keys, values } = cache.past(layer);
      feeds[`past_k.${layer}`] = float32([P, B, width], keys);
      feeds[`past_v.${layer}`] = float32([P, B, width], values);
      fetches.push(`new_k.${layer}`, `new_v.${layer}`);
    }
    const outputs = await this.#session.run(feeds, fetches);
    const perLayer = (name: string) => Array.from({ length: layers }, (_, layer) => outputs[`${name}.${layer}`]!);
    cache.append(perLayer('new_k'), perLayer('new_v'), counts);
    return this.#rowOutputs(sources, outputs);
  }

  #gateFeeds(sources: readonly RowSource[]): Record<string, Feed> {
    const dims = [sources.length, 1, this.#roles.length];
    const { low, high } = gateBounds(sources, this.#roles);
    if (this.#hasLayersRouter) return { gates_low: float32(dims, low), gates_high: float32(dims, high) };
    if (sources.some(({ kind }) => kind === 'layers'))
      throw new Error('a layers row needs a bundle with a layers router');
    return { gates_low: float32(dims, low) };
  }

  /** Every output fetched is copied, so only those that some row has a use for. */
  #extraFetches(sources: readonly RowSource[]): string[] {
    return [
      ...(sources.some((source) => source.kind !== 'layers' && source.hidden) ? ['hidden'] : []),
      ...(sources.some(({ kind }) => kind === 'layers') ? ['gates'] : []),
    ];
  }

  #rowOutputs(sources: readonly RowSource[], { logits, hidden, gates }: Record<string, Float32Array>): RowOutput[] {
    const part = (all: Float32Array, row: number) => {
      const size = all.length / sources.length;
      return all.subarray(row * size, (row + 1) * size);
    };
    return sources.map((source, row) => ({
      logits: part(logits!, row),
      hidden: source.kind !== 'layers' && source.hidden ? part(hidden!, row) : null,
      alpha: source.kind === 'layers' ? this.#meanAlpha(part(gates!, row)) : null,
    }));
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

/** `[B, 1, T, T]` additive. Padding is on the right, so causality alone hides it from every real token. */
function causalMask(B: number, T: number): Float32Array {
  const mask = new Float32Array(B * T * T);
  for (let row = 0; row < B; row++) {
    for (let t = 0; t < T; t++) mask.fill(MASKED, (row * T + t) * T + t + 1, (row * T + t + 1) * T);
  }
  return mask;
}
