/**
 * The measurement of `training-on-base.ts`, in a process of its own, so that the memory is its own.
 * The job is the only argument, as JSON. The figures are one line of JSON on stdout.
 */
import path from 'node:path';
import * as z from 'zod';
import { type Feed, float32, GraphSession, int64 } from '#gpu-backend/graph/session.ts';
import { type DecoderConfig, weightShapes } from '#gpu-backend/model/config.ts';
import { loadBundleHead } from '#gpu-backend/model/load-bundle.ts';
import { openStoredBase, type StoredBase } from '#gpu-backend/model/stored-base.ts';
import { DEMO } from '#lab/methods/recipe.ts';
import { createRandom } from '#training/data/random.ts';
import { dpoGraph } from '#training/graphs/dpo-graph.ts';
import { loraShapes } from '#training/graphs/lora.ts';
import type { BatchShape, GraphBatch } from '#training/graphs/training-inputs.ts';
import { AdamW } from '#training/optim/adamw.ts';
import { parameterFeeds } from '#training/run/run-step.ts';
import { type SessionOf, trainingSessions } from '#training/run/training-sessions.ts';
import { initialLora } from '#training/stages/expert.ts';
import { matmulFlops } from './count-work.ts';
import { bareProduct, type Product, SQUARE, seconds } from './harness/bare-product.ts';
import { alternate } from './harness/measure.ts';
import { memoryOf } from './harness/process-memory.ts';
import { bucketName, TrainingBucket } from './training-buckets.ts';

const Job = z.strictObject({
  bundle: z.string(),
  threads: z.int().min(0),
  rounds: z.int().min(1),
  /**
   * `one` session for all buckets, with symbolic sizes, as the stages train. Or `each` bucket with
   * a session of its own, built for its sizes.
   */
  sessions: z.enum(['one', 'each']),
  /** The first is the one that memory is measured with; the others are further buckets. */
  buckets: z.array(TrainingBucket).min(2),
});
export type OnBaseJob = z.infer<typeof Job>;

export type OnBaseFigures = {
  /** Bytes: the process when its first session is made, and after its first step. */
  resident: { session: number; step: number };
  /** The most after every bucket has run, before anything else is measured. In bytes. */
  peak: number;
  buckets: {
    bucket: TrainingBucket;
    /** Operations of a step's matrix products. */
    flops: number;
    /** By how much the process grew when it first ran this bucket, in bytes. */
    grew: number;
    /** Seconds a step by round. */
    seconds: number[];
  }[];
  /** Seconds of the forward half alone, on the first bucket. null where no session scores. */
  scoring: number[] | null;
  /** Operations per second of the bare products, by round. */
  peaks: { name: string; flopsPerSecond: number[] }[];
};

const FILE = 'model.safetensors';
const { rank, alpha, beta, nllWeight } = DEMO.expert;
const LEARNING_RATE = 1e-5;

async function measure({ bundle, threads, rounds, sessions, buckets }: OnBaseJob): Promise<OnBaseFigures> {
  const { config, manifest } = await loadBundleHead(bundle);
  const base = await openStoredBase(path.join(bundle, FILE), { file: FILE, config, manifest });
  const options = { base, rank, loraScale: alpha / rank, beta, nllWeight };
  const { train, score } =
    sessions === 'one'
      ? trainingSessions(() => dpoGraph(config, { ...options, scoresToo: true }).toModel(), {
          base,
          contextLength: config.max_position_embeddings,
          threads,
        })
      : {
          train: sessionOfEach((batch) => dpoGraph(config, { ...options, batch }).toModel(), base, threads),
          score: null,
        };
  const parameters = initialLora(loraShapes(config, rank), createRandom('bench/lora'));
  const optimizer = await AdamW.create(parameters, {});
  const resident = async () => (await memoryOf(process.pid)).resident;
  const first = buckets[0]!;
  await train(first);
  const session = await resident();

  let steps = 0;
  const prepared = buckets.map((bucket) => {
    const feeds = randomPairs(bucket, config);
    const step = async () => {
      const { run } = await train(bucket);
      const outputs = await run({ ...feeds, ...parameterFeeds(parameters) });
      const gradients = new Map([...parameters.keys()].map((name) => [name, outputs[`grad.${name}`]!]));
      optimizer.step(gradients, { step: ++steps, learningRate: LEARNING_RATE });
    };
    return { bucket, flops: matmulFlops(dpoGraph(config, { ...options, batch: counted(bucket) })), feeds, step };
  });
  const grown: number[] = [];
  for (const { step } of prepared) {
    const before = await resident();
    // Twice, since an allocator may grow once more.
    for (let i = 0; i < 2; i++) await step();
    grown.push((await resident()) - before);
  }
  const { peak } = await memoryOf(process.pid);

  const products = [SQUARE, largestProduct(config, first)];
  const peaks = await Promise.all(products.map((product) => bareProduct(product, threads)));
  const scored = async (forward: SessionOf) => {
    const { run } = await forward(first);
    await run({ ...prepared[0]!.feeds, ...parameterFeeds(parameters) });
  };
  const measured = await alternate(
    [
      ...prepared.map(({ bucket, step }) => ({ name: bucketName(bucket), run: () => seconds(step) })),
      ...peaks.map((run, i) => ({ name: `product ${Object.values(products[i]!).join(' x ')}`, run })),
      ...(score === null ? [] : [{ name: 'scoring', run: () => seconds(() => scored(score)) }]),
    ],
    { rounds },
  );
  const values = measured.map((each) => each.values);
  const behind = prepared.length + products.length;
  return {
    resident: { session, step: session + grown[0]! },
    peak,
    buckets: prepared.map(({ bucket, flops }, i) => ({ bucket, flops, grew: grown[i]!, seconds: values[i]! })),
    scoring: values[behind] ?? null,
    peaks: measured
      .slice(prepared.length, behind)
      .map(({ name, values: flopsPerSecond }) => ({ name, flopsPerSecond })),
  };
}

/** Makes a session for each bucket on first use, and keeps it. Each packs the base for itself. */
function sessionOfEach(build: (batch: GraphBatch) => Uint8Array, base: StoredBase, threads: number): SessionOf {
  const made = new Map<string, Promise<GraphSession>>();
  const options = { threads, weightsFolder: base.folder };
  return async (bucket) => {
    const name = bucketName(bucket);
    const session = made.get(name) ?? GraphSession.create(build(counted(bucket)), options);
    made.set(name, session);
    const trainer = await session;
    return { run: (feeds) => trainer.run(feeds) };
  };
}

/** Half of each row is prompt, as in the sets that we train on. */
const promptOf = ({ length }: BatchShape) => Math.floor(length / 2);

/** The bucket with its number of answer places, for a graph of fixed sizes. */
function counted(bucket: BatchShape): GraphBatch {
  return { ...bucket, answers: bucket.rows * (bucket.length - promptOf(bucket)) };
}

function randomPairs(batch: BatchShape, { vocab_size: vocabulary }: DecoderConfig): Record<string, Feed> {
  const { rows, length } = batch;
  const random = createRandom(`bench/${bucketName(batch)}`);
  const dims = [rows, length];
  const ids = () => Array.from({ length: rows * length }, () => random.int(0, vocabulary - 1));
  const weights = Float32Array.from({ length: rows * length }, (_, i) => Number(i % length >= promptOf(batch)));
  // About what a base gives random tokens, so that the loss has an ordinary gradient.
  const reference = new Float32Array(rows).fill(-10 * (length - promptOf(batch)));
  return {
    ids: int64(dims, ids()),
    targets: int64(dims, ids()),
    loss_weights: float32(dims, weights),
    reference: float32([rows], reference),
    margin: float32([rows / 2], new Float32Array(rows / 2)),
  };
}

/** Of a layer's products, which are most of a step. */
function largestProduct(config: DecoderConfig, { rows, length }: BatchShape): Product {
  const [n, k] = weightShapes(config).get('model.layers.0.mlp.up_proj.weight') as [number, number];
  return { m: rows * length, k, n };
}

const job = Job.parse(JSON.parse(process.argv[2] ?? 'null'));
process.stdout.write(`${JSON.stringify(await measure(job))}\n`);
