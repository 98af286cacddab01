/**
 * One measurement of the training bench. It runs in its own process, so that the peak memory is
 * only its own. `sft` measures a whole step of supervised training. `dpo` measures a step of an
 * expert's training, once with the reference's log-probabilities kept and once with them computed
 * in every step. Each round also measures the machine's peak: bare matrix products through the same
 * session and threads.
 *
 * The job is the only argument, as JSON. The figures are one line of JSON on stdout.
 */
import * as z from 'zod';
import type { Graph } from '#gpu-backend/graph/graph.ts';
import { float32, GraphSession } from '#gpu-backend/graph/session.ts';
import type { DecoderConfig } from '#gpu-backend/model/config.ts';
import { DEMO } from '#lab/methods/recipe.ts';
import { generateDialogues } from '#lab/world/generate.ts';
import { worldPairs } from '#lab/world/training-data.ts';
import { makeBuckets, tokenFeeds } from '#training/data/buckets.ts';
import { encodeChat, type TokenRow } from '#training/data/encode-chat.ts';
import { createRandom } from '#training/data/random.ts';
import { buildDpoGraph, buildScoreGraph, dpoGraph, scoreGraph } from '#training/graphs/dpo-graph.ts';
import { loraShapes } from '#training/graphs/lora.ts';
import { buildSftGraph, sftGraph } from '#training/graphs/sft-graph.ts';
import type { BatchShape, GraphBatch } from '#training/graphs/training-inputs.ts';
import { AdamW, type Parameters } from '#training/optim/adamw.ts';
import { parameterFeeds } from '#training/run/run-step.ts';
import { kernelShapes, weightCount } from '#training/stages/base-model.ts';
import { initialLora } from '#training/stages/expert.ts';
import { batchRows, pairSet } from '#training/stages/pair-set.ts';
import { preferenceData } from '#training/stages/preference-data.ts';
import { initialWeights } from '#training/stages/sft.ts';
import { openTokenizer, readChatFiles, type TrainingTokenizer } from '#training/tokenizer/chat-files.ts';
import { matmulFlops, matmuls, peakLiveBytes } from './count-work.ts';
import { bareProduct, type Product, SQUARE, seconds } from './harness/bare-product.ts';
import { alternate, type Measured } from './harness/measure.ts';
import { sizeConfig, TrainingSize } from './training-sizes.ts';

const TrainingJob = z.strictObject({
  kind: z.enum(['sft', 'dpo']),
  size: TrainingSize,
  /** The folder with the tokenizer. */
  bundle: z.string(),
  batchTokens: z.int().min(1),
  threads: z.int().min(0),
  rounds: z.int().min(1),
});
export type TrainingJob = z.infer<typeof TrainingJob>;

export type TrainingFigures = {
  /** Parameters of the whole model, whether trained or frozen. */
  parameters: number;
  /** Rows and positions of the batch, and the tokens in it that are not padding. */
  batch: BatchShape;
  tokens: number;
  /** Operations of a step's matrix products, and the bytes of its values that are alive at once. */
  flops: number;
  liveBytes: number;
  /** Operations of computing the reference; 0 if there is none. */
  referenceFlops: number;
  /**
   * Peak memory of the process after a few steps, before we measure anything else. In a dpo job
   * this includes the reference's session.
   */
  peakRssBytes: number;
  /**
   * Seconds per step, by round. An sft job has one entry, `step`. A dpo job has two: with the
   * reference kept, and with the reference computed each time.
   */
  steps: { name: string; seconds: number[] }[];
  /** Operations per second of the bare products, by round. */
  peaks: { name: string; flopsPerSecond: number[] }[];
};

type Step = { name: string; run: () => Promise<void> };
type Prepared = Pick<TrainingFigures, 'batch' | 'tokens' | 'flops' | 'liveBytes' | 'referenceFlops'> & {
  steps: readonly Step[];
  /** The largest single product of the step. */
  largest: Product;
};

/** Enough dialogues or pairs to fill a batch with similar lengths. */
const EXAMPLES = 600;
/** So small that the weights stay in the range where arithmetic runs at its usual speed. */
const LEARNING_RATE = 1e-5;

async function runTrainingJob(job: TrainingJob): Promise<TrainingFigures> {
  const tokenizer = openTokenizer(await readChatFiles(job.bundle));
  const config = { ...sizeConfig(job.size), vocab_size: tokenizer.vocabSize };
  const { steps, largest, ...counts } = await (job.kind === 'sft' ? prepareSft : prepareDpo)(job, config, tokenizer);
  for (let i = 0; i < 2; i++) for (const { run } of steps) await run();
  const peakRssBytes = process.resourceUsage().maxRSS * 1024;

  const products = [SQUARE, largest];
  const peaks = await Promise.all(products.map((product) => bareProduct(product, job.threads)));
  const measured: readonly Measured[] = await alternate(
    [
      ...steps.map(({ name, run }) => ({ name, run: () => seconds(run) })),
      ...peaks.map((run, i) => ({ name: `product ${Object.values(products[i]!).join(' x ')}`, run })),
    ],
    { rounds: job.rounds },
  );
  return {
    ...counts,
    parameters: weightCount(config),
    peakRssBytes,
    steps: measured.slice(0, steps.length).map(({ name, values }) => ({ name, seconds: values })),
    peaks: measured.slice(steps.length).map(({ name, values }) => ({ name, flopsPerSecond: values })),
  };
}

/**
 * Trains all weights on a batch of the small world's dialogues: feeds, forward, backward and AdamW,
 * as in `run/loop.ts`.
 */
async function prepareSft(job: TrainingJob, config: DecoderConfig, tokenizer: TrainingTokenizer): Promise<Prepared> {
  const rows = generateDialogues({ seed: DEMO.seed, split: 'train', count: EXAMPLES }).map(({ messages }) =>
    encodeChat({ prompt: messages.slice(0, -1), answer: messages.at(-1)!.content }, tokenizer, DEMO.base.sft),
  );
  const { buckets } = makeBuckets(
    rows.map(({ ids }) => ids.length - 1),
    { step: 16, maxLength: config.max_position_embeddings, tokensPerBatch: job.batchTokens },
  );
  const { items, rows: count, length } = fullest(buckets);
  const batch = { rows: count, length };
  const taken = items.slice(0, count).map((item) => rows[item]!);
  const shapes = kernelShapes(config);
  const parameters = initialWeights(config, shapes, createRandom('bench/weights'));
  const graph = sftGraph(config, { shapes, batch: counted(batch, taken) });
  const session = await GraphSession.create(buildSftGraph(config, { shapes }), { threads: job.threads });
  const feeds = () => tokenFeeds(taken, batch, { normalize: true, padId: tokenizer.padId });
  const update = await optimizer(parameters, { weightDecay: 0.05 });
  const step = {
    name: 'step',
    run: async () => update(await session.run({ ...feeds().feeds, ...parameterFeeds(parameters) })),
  };
  return { batch, tokens: feeds().tokens, ...countsOf(graph), referenceFlops: 0, steps: [step] };
}

/**
 * Trains one expert's LoRA on a frozen base, with a batch of pairs. The reference is the base, that
 * is, a LoRA of zeros.
 */
async function prepareDpo(job: TrainingJob, config: DecoderConfig, tokenizer: TrainingTokenizer): Promise<Prepared> {
  const { rank, alpha, beta, nllWeight, pairsPerBatch } = DEMO.expert;
  const { train } = await preferenceData({
    generated: worldPairs({ seed: DEMO.seed, count: EXAMPLES }),
    files: [],
    dimension: 'safer',
  });
  const { pairs, buckets } = pairSet(train, {
    what: 'to measure with',
    tokenizer,
    dimension: 'safer',
    config,
    // At most one pair per 96 tokens of the job's batch. A pair is two rows of about 96 tokens.
    pairsPerBatch: Math.min(pairsPerBatch, Math.max(1, Math.round(job.batchTokens / 96))),
    feeds: 'predictions',
  });
  const { items, rows, length } = fullest(buckets);
  const batch = { rows, length };
  const taken = batchRows(pairs, items.slice(0, rows / 2));
  const base = initialWeights(config, kernelShapes(config), createRandom('bench/weights'));
  const shapes = loraShapes(config, rank);
  const parameters = initialLora(shapes, createRandom('bench/lora'));
  const untrained = initialLora(shapes, null);
  const options = { base, rank, loraScale: alpha / rank };
  const dpo = { ...options, beta, nllWeight };
  const graph = dpoGraph(config, { ...dpo, batch: counted(batch, taken) });
  const session = await GraphSession.create(buildDpoGraph(config, dpo), { threads: job.threads });
  const scoring = scoreGraph(config, { ...options, batch: counted(batch, taken) });
  const reference = await GraphSession.create(buildScoreGraph(config, options), { threads: job.threads });
  const feeds = () => tokenFeeds(taken, batch, { normalize: false, padId: tokenizer.padId });
  const scored = async () => (await reference.run({ ...feeds().feeds, ...parameterFeeds(untrained) })).logprobs!;
  const update = await optimizer(parameters, {});
  const trainOn = async (referenceLogprobs: Float32Array) =>
    update(
      await session.run({
        ...feeds().feeds,
        ...parameterFeeds(parameters),
        reference: float32([rows], referenceLogprobs),
        margin: float32([rows / 2], new Float32Array(rows / 2)),
      }),
    );
  const kept = await scored();
  return {
    batch,
    tokens: feeds().tokens,
    ...countsOf(graph),
    referenceFlops: matmulFlops(scoring),
    steps: [
      { name: 'reference kept', run: () => trainOn(kept) },
      { name: 'reference in every step', run: async () => trainOn(await scored()) },
    ],
  };
}

const answersOf = ({ weights }: TokenRow) => weights.filter((x) => x !== 0).length;

/** The batch of these rows, for a graph that we count. */
function counted(batch: BatchShape, rows: readonly TokenRow[]): GraphBatch {
  return { ...batch, answers: rows.reduce((sum, row) => sum + answersOf(row), 0) };
}

function fullest<B extends { items: readonly number[]; rows: number }>(buckets: readonly B[]): B {
  return buckets.reduce((most, bucket) => (bucket.items.length > most.items.length ? bucket : most));
}

function countsOf(graph: Graph) {
  const size = ({ m, k, n }: Product) => m * k * n;
  const { m, k, n } = matmuls(graph).reduce((most, product) => (size(product) > size(most) ? product : most));
  return { flops: matmulFlops(graph), liveBytes: peakLiveBytes(graph), largest: { m, k, n } };
}

/** Applies AdamW to a run's outputs. Each call is one step. */
async function optimizer(parameters: Parameters, options: { weightDecay?: number }) {
  const adamw = await AdamW.create(parameters, options);
  let step = 0;
  return (outputs: Record<string, Float32Array>): void => {
    const gradients = new Map([...parameters.keys()].map((name) => [name, outputs[`grad.${name}`]!]));
    adamw.step(gradients, { step: ++step, learningRate: LEARNING_RATE });
  };
}

const job = TrainingJob.parse(JSON.parse(process.argv[2] ?? 'null'));
process.stdout.write(`${JSON.stringify(await runTrainingJob(job))}\n`);
