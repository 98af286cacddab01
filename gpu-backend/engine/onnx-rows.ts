/**
 * The row model on onnxruntime. One run serves every row: each reads the same base weights, and its gates pick its expert
 * out of the stacked LoRA, so that two experts cost little more than one. Prompts are padded on the right to the longest of
 * those that join together; each row then sits at its own length.
 */
import { type Feed, float32, GraphSession, int64 } from '../graph/session.ts';
import { headDim, type LlamaConfig } from '../model/config.ts';
import { buildServingGraph } from '../model/decoder.ts';
import type { Bundle } from '../model/load-bundle.ts';
import type { ExpertRole } from '../model/manifest.ts';
import { type CacheShape, KvCache, MASKED } from './kv-cache.ts';
import type { NewRow, RowModel } from './row-model.ts';
import { servingWeights } from './serving-weights.ts';

export class OnnxRows implements RowModel {
  readonly vocabSize: number;
  readonly #config: LlamaConfig;
  readonly #session: GraphSession;
  readonly #roles: readonly ExpertRole[];
  readonly #rank: number;
  readonly #cacheShape: CacheShape;
  #experts: ExpertRole[] = [];
  #cache: KvCache;

  private constructor(session: GraphSession, { config, experts }: Bundle) {
    this.#session = session;
    this.#config = config;
    this.vocabSize = config.vocab_size;
    this.#roles = experts.map((expert) => expert.role);
    this.#rank = experts[0]!.rank;
    this.#cacheShape = { layers: config.num_hidden_layers, width: config.num_key_value_heads * headDim(config) };
    this.#cache = new KvCache(this.#cacheShape, 0);
  }

  static async create(bundle: Bundle, { threads = 0 }: { threads?: number } = {}): Promise<OnnxRows> {
    const model = buildServingGraph(bundle.config, servingWeights(bundle));
    return new OnnxRows(await GraphSession.create(model, { threads }), bundle);
  }

  get rowCount(): number {
    return this.#experts.length;
  }

  async add(rows: readonly NewRow[]): Promise<Float32Array> {
    const joining = new KvCache(this.#cacheShape, rows.length);
    const experts = rows.map((row) => row.expert);
    const logits = await this.#run(
      joining,
      experts,
      rows.map((row) => row.ids),
    );
    const both = [this.#cache, joining].flatMap((cache) => cache.lengths.map((_, row) => ({ cache, row })));
    this.#cache = KvCache.pack(this.#cacheShape, both);
    this.#experts.push(...experts);
    return logits;
  }

  async advance(ids: readonly number[]): Promise<Float32Array> {
    return this.#run(
      this.#cache,
      this.#experts,
      ids.map((id) => [id]),
    );
  }

  keep(rows: readonly number[]): void {
    this.#experts = rows.map((row) => this.#experts[row]!);
    this.#cache = KvCache.pack(
      this.#cacheShape,
      rows.map((row) => ({ cache: this.#cache, row })),
    );
  }

  async close(): Promise<void> {
    await this.#session.release();
  }

  /** Feeds each row of `cache` its tokens, appends their keys and values, and returns the logits after each last one. */
  async #run(
    cache: KvCache,
    experts: readonly ExpertRole[],
    tokens: readonly (readonly number[])[],
  ): Promise<Float32Array> {
    const { layers, width } = this.#cacheShape;
    const B = tokens.length;
    const counts = tokens.map((ids) => ids.length);
    const T = Math.max(...counts);
    const P = cache.pastLength;
    const padded = tokens.map((ids) => Array.from({ length: T }, (_, t) => ids[t] ?? 0));
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
      gates: float32([B, 1, this.#roles.length * this.#rank], this.#gates(experts)),
      last: int64(
        [B],
        counts.map((count) => count - 1),
      ),
    };
    const fetches = ['logits'];
    for (let layer = 0; layer < layers; layer++) {
      const { keys, values } = cache.past(layer);
      feeds[`past_k.${layer}`] = float32([P, B, width], keys);
      feeds[`past_v.${layer}`] = float32([P, B, width], values);
      fetches.push(`new_k.${layer}`, `new_v.${layer}`);
    }
    const outputs = await this.#session.run(feeds, fetches);
    const perLayer = (name: string) => Array.from({ length: layers }, (_, layer) => outputs[`${name}.${layer}`]!);
    cache.append(perLayer('new_k'), perLayer('new_v'), counts);
    return outputs.logits!;
  }

  /** `[B, 1, E*r]`: 1 across the block of the row's own expert. */
  #gates(experts: readonly ExpertRole[]): Float32Array {
    const stride = this.#roles.length * this.#rank;
    const gates = new Float32Array(experts.length * stride);
    experts.forEach((expert, row) => {
      const start = row * stride + this.#roles.indexOf(expert) * this.#rank;
      gates.fill(1, start, start + this.#rank);
    });
    return gates;
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
