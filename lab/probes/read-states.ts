/**
 * Hidden states of the safety expert's row, pooled in the graph by the very code that serves: the
 * engine sums them over spans of the prompt, as for a second look.
 */
import type { Experts } from '#gpu-backend/engine/experts.ts';
import { OnnxExperts } from '#gpu-backend/engine/onnx-experts.ts';
import type { ServableBundle } from '#gpu-backend/engine/serving-weights.ts';
import { ProbeHead } from '#gpu-backend/model/probe.ts';
import { JUDGEMENTS } from '#shared/line/categories.ts';
import type { PlannedPrompt } from './plan-prompts.ts';

export const POOLINGS = ['mean', 'last'] as const;
export type Pooling = (typeof POOLINGS)[number];

/** A layer's states in one pooling: `15.mean`. */
export type BlockName = `${number}.${Pooling}`;
export const blockName = (layer: number, pooling: Pooling): BlockName => `${layer}.${pooling}`;
export const blockNames = (layers: readonly number[], poolings: readonly Pooling[] = POOLINGS): BlockName[] =>
  layers.flatMap((layer) => poolings.map((pooling) => blockName(layer, pooling)));

/** For each layer and pooling the states of all pieces, `[pieces, d]`, prompt by prompt. */
export type States = ReadonlyMap<BlockName, Float32Array>;

/** Tokens of one run. Short prompts go together, so that products have enough rows. */
const RUN_TOKENS = 512;
/** For the tokens that all prompts begin with. */
const PREFIX_BYTES = 2 ** 26;
/** Everything is ours, so everybody may find it. */
const TENANT = 'probe';

export class StateReader {
  readonly #experts: Experts;
  readonly #layers: readonly number[];
  readonly #hiddenSize: number;
  /** How many tokens are known to all prompts. */
  #shared: readonly number[] = [];

  private constructor(experts: Experts, { layers, hiddenSize }: { layers: readonly number[]; hiddenSize: number }) {
    this.#experts = experts;
    this.#layers = layers;
    this.#hiddenSize = hiddenSize;
  }

  static async create(
    bundle: ServableBundle,
    { layers, threads = 0 }: { layers: readonly number[]; threads?: number },
  ): Promise<StateReader> {
    const hiddenSize = bundle.config.hidden_size;
    const probe = readingProbe(layers, hiddenSize);
    const options = { threads, runTokens: RUN_TOKENS, prefixBytes: PREFIX_BYTES };
    return new StateReader(await OnnxExperts.create({ ...bundle, probe }, options), { layers, hiddenSize });
  }

  /** Reads these tokens once, for all prompts that begin with them. */
  async share(ids: readonly number[]): Promise<void> {
    if (ids.length === 0) return;
    const sequence = this.#experts.open('safety');
    try {
      const [read] = this.#experts.append([{ sequence, ids, want: { positions: 0 } }]);
      await read;
      this.#experts.keep(sequence, { ids, scope: { tenant: TENANT, publicTokens: ids.length } });
      this.#shared = ids;
    } finally {
      this.#experts.close(sequence);
    }
  }

  /**
   * The states of these prompts' pieces. Prompts of about the same length should come together.
   * Throws if a state is not a number.
   */
  async read(plans: readonly PlannedPrompt[]): Promise<States> {
    const pieces = plans.reduce((sum, plan) => sum + plan.pieces.length, 0);
    const d = this.#hiddenSize;
    const states = new Map(blockNames(this.#layers).map((name) => [name, new Float32Array(pieces * d)]));
    let row = 0;
    for (const batch of batches(plans, this.#shared.length)) {
      const sums = await this.#readBatch(batch);
      for (const [i, { prompt, pieces: own }] of batch.entries()) {
        for (const [p, { from, to }] of own.entries()) {
          for (const [pool, pooling] of POOLINGS.entries()) {
            const sum = sums[i]![p * POOLINGS.length + pool];
            if (!sum?.every(Number.isFinite)) throw new Error(`prompt ${prompt}: found a state that is not a number`);
            const count = pooling === 'mean' ? to - from : 1;
            for (const [l, layer] of this.#layers.entries()) {
              const block = states.get(blockName(layer, pooling))!;
              for (let k = 0; k < d; k++) block[row * d + k] = sum[l * d + k]! / count;
            }
          }
          row++;
        }
      }
    }
    return states;
  }

  async #readBatch(batch: readonly PlannedPrompt[]): Promise<(Float32Array | null)[][]> {
    const experts = this.#experts;
    const scope = { tenant: TENANT, publicTokens: this.#shared.length };
    const sequences = batch.map(({ pieces }) =>
      experts.open('safety', {
        sums: pieces.flatMap(({ from, to, last }) => [
          { from, to },
          { from: last, to: last + 1 },
        ]),
      }),
    );
    try {
      const steps = batch.map(({ ids }, i) => {
        const sequence = sequences[i]!;
        const known = experts.recall(sequence, { ids, scope });
        return { sequence, ids: ids.slice(known), want: { positions: 0 } };
      });
      await Promise.all(experts.append(steps));
      return sequences.map((sequence) => experts.sums(sequence));
    } finally {
      for (const sequence of sequences) experts.close(sequence);
    }
  }

  async dispose(): Promise<void> {
    await this.#experts.dispose();
  }
}

function* batches(plans: readonly PlannedPrompt[], shared: number): Generator<PlannedPrompt[]> {
  let batch: PlannedPrompt[] = [];
  let longest = 0;
  for (const plan of plans) {
    const length = Math.max(longest, plan.ids.length - shared);
    if (batch.length > 0 && length * (batch.length + 1) > RUN_TOKENS) {
      yield batch;
      batch = [];
      longest = 0;
    }
    batch.push(plan);
    longest = Math.max(longest, plan.ids.length - shared);
  }
  if (batch.length > 0) yield batch;
}

/** Says which layers to sum. Nobody asks it for a probability. */
function readingProbe(layers: readonly number[], hiddenSize: number) {
  const head = ProbeHead.parse({
    format: 1,
    layers,
    pooling: POOLINGS,
    judgements: JUDGEMENTS,
    window: 1,
    calibration: Object.fromEntries(JUDGEMENTS.map((judgement) => [judgement, { a: 1, b: 0 }])),
    licence: 'Apache-2.0',
    provenance: { description: 'Reads hidden states for training.', data: [] },
  });
  const features = layers.length * POOLINGS.length * hiddenSize;
  const numbers = { weight: new Float32Array(JUDGEMENTS.length * features), bias: new Float32Array(JUDGEMENTS.length) };
  return { version: '', head, ...numbers };
}
