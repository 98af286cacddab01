/**
 * Stage `expert`: one LoRA expert on the frozen base by direct preference optimisation, on one dimension of the preferences:
 * `safer` for the safety expert, `better` for the helpfulness expert (MidPO, arXiv 2506.02460, section 3.1).
 */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type Feed, float32, GraphSession } from '#gpu-backend/graph/session.ts';
import type { ExpertRole } from '#gpu-backend/model/manifest.ts';
import { type Bucket, makeBuckets, planBatches, tokenFeeds } from '../data/buckets.ts';
import { encodePairs, type PairRows, pairLength } from '../data/encode-pairs.ts';
import type { Dimension } from '../data/preferences.ts';
import type { Preference } from '../data/rows.ts';
import { describeSkips, type Skips } from '../data/skips.ts';
import { buildDpoGraph, buildScoreGraph } from '../graphs/dpo-graph.ts';
import { loraShapes } from '../graphs/training-inputs.ts';
import type { Parameters } from '../optim/adamw.ts';
import { loadCheckpoint } from '../run/checkpoint.ts';
import { parameterFeeds, runTraining } from '../run/loop.ts';
import { createProgress } from '../run/progress.ts';
import type { TrainingTokenizer } from '../tokenizer/chat-files.ts';
import { createRandom } from '../world/random.ts';
import type { BaseModel } from './base-model.ts';
import { fillNormal } from './sft.ts';

export const ROLE_DIMENSION: Record<ExpertRole, Dimension> = { safety: 'safer', helpfulness: 'better' };

export type ExpertSettings = {
  rank: number;
  /** The LoRA's change is scaled by alpha / rank, in training and in serving alike. */
  alpha: number;
  beta: number;
  /** How much the chosen answers' own likelihood counts beside the preference; 0: plain DPO. */
  nllWeight: number;
  learningRate: number;
  pairsPerBatch: number;
  epochs: number;
};

export type ExpertOptions = ExpertSettings & {
  role: ExpertRole;
  out: string;
  resume: boolean;
  seed: number;
  base: BaseModel;
  tokenizer: TrainingTokenizer;
  train: Preference[];
  heldOut: Preference[];
  /** What decided the pairs, for the checkpoint's settings. */
  dataSettings: Record<string, unknown>;
  threads: number;
};

const BUCKET_STEP = 32;
const WARMUP_SHARE = 0.1;
/** Long enough for one batch; only caps buckets of short rows. */
const TYPICAL_LENGTH = 96;

export async function expertStage(options: ExpertOptions): Promise<void> {
  const { role, base, out, rank, alpha, beta, nllWeight, seed, tokenizer, threads } = options;
  const { config } = base;
  const dimension = ROLE_DIMENSION[role];
  const encoding = { dimension, contextLength: config.max_position_embeddings };
  const train = encodePairs(options.train, tokenizer, encoding);
  const heldOut = encodePairs(options.heldOut, tokenizer, encoding);
  const bucketOptions = {
    step: BUCKET_STEP,
    maxLength: config.max_position_embeddings,
    tokensPerBatch: options.pairsPerBatch * 2 * TYPICAL_LENGTH,
    rowsPerItem: 2,
  };
  const { buckets, skipped } = makeBuckets(train.pairs.map(pairLength), bucketOptions);
  const evaluation = makeBuckets(heldOut.pairs.map(pairLength), bucketOptions);
  const [trainLine, heldOutLine] = [
    pairsLine('to train on', train, skipped),
    pairsLine('held out', heldOut, evaluation.skipped),
  ];
  process.stderr.write(`${role}: ${trainLine}\n${role}: ${heldOutLine}\n`);
  const plan = planBatches(buckets, { seed: `${seed}/${role}`, rowsPerItem: 2 });
  process.stderr.write(`${role}: ${plan.perEpoch} batches an epoch\n`);
  await mkdir(out, { recursive: true });
  await writeFile(path.join(out, 'adapter.json'), `${JSON.stringify({ role, rank, alpha }, null, 2)}\n`);

  const parameters = initialLora(loraShapes(config, rank), createRandom(`${seed}/${role}/lora`));
  const totalSteps = plan.perEpoch * options.epochs;
  const settings = {
    role,
    seed,
    rank,
    alpha,
    beta,
    nllWeight,
    learningRate: options.learningRate,
    pairsPerBatch: options.pairsPerBatch,
    epochs: options.epochs,
    base: base.state.step,
    ...options.dataSettings,
  };
  // A finished run need not score its reference once more to find that there is nothing left to do.
  if (options.resume && (await loadCheckpoint(out, { parameters, settings }))?.step === totalSteps) return;
  const graphOptions = { base: base.weights, rank, loraScale: alpha / rank };
  const dpo = cached((batch: Bucket) =>
    GraphSession.create(buildDpoGraph(config, { ...graphOptions, batch, beta, nllWeight }), { threads }),
  );
  const score = cached((batch: Bucket) =>
    GraphSession.create(buildScoreGraph(config, { ...graphOptions, batch }), { threads }),
  );
  const feedsOf = (pairs: PairRows[]) => (bucket: Bucket, items: readonly number[]) => {
    const rows = [...items.map((item) => pairs[item]!.chosen), ...items.map((item) => pairs[item]!.rejected)];
    return tokenFeeds(rows, bucket, { normalize: false, padId: tokenizer.padId });
  };
  const scoring = { score, parameters: initialLora(loraShapes(config, rank), null) };
  const reference = await scoreAll(buckets, { ...scoring, feedsOf: feedsOf(train.pairs), label: `${role}: reference` });
  const heldOutReference = await scoreAll(evaluation.buckets, {
    ...scoring,
    feedsOf: feedsOf(heldOut.pairs),
    label: `${role}: held-out reference`,
  });

  await runTraining({
    label: role,
    dir: out,
    resume: options.resume,
    parameters,
    schedule: { peak: options.learningRate, warmupSteps: Math.ceil(totalSteps * WARMUP_SHARE), totalSteps },
    adamw: { beta2: 0.99 },
    settings,
    batchAt: async (step) => {
      const { bucket, items } = plan.at(step);
      const shape = buckets[bucket]!;
      const { feeds, tokens } = feedsOf(train.pairs)(shape, items);
      const session = await dpo(shape);
      return {
        feeds: { ...feeds, reference: float32([shape.rows], pairedReference(reference, items)) },
        tokens,
        run: (all: Record<string, Feed>) => session.run(all),
        label: `pairs ${items.slice(0, 4).join(', ')}...`,
      };
    },
    figures: ({ delta, dpo, nll }) => ({ dpo: dpo![0]!, nll: nll![0]!, ...preferenceFigures(delta!, beta) }),
    evaluateEvery: Math.max(1, Math.ceil(totalSteps / 4)),
    evaluate: async () => {
      const now = await scoreAll(evaluation.buckets, {
        score,
        parameters,
        feedsOf: feedsOf(heldOut.pairs),
        label: null,
      });
      const deltas = [...now].map(([item, [chosen, rejected]]) => {
        const [chosenRef, rejectedRef] = heldOutReference.get(item)!;
        return chosen - chosenRef - (rejected - rejectedRef);
      });
      const { accuracy, margin } = preferenceFigures(Float32Array.from(deltas), beta);
      return { heldOutAccuracy: accuracy, heldOutMargin: margin };
    },
  });
}

/** Says what is there and what was left out and why; nothing at all is an error. */
function pairsLine(what: string, { pairs, skipped }: { pairs: PairRows[]; skipped: Skips }, tooLong: number): string {
  const leftOut = describeSkips({ ...skipped, longAnswer: tooLong });
  const count = pairs.length - tooLong;
  if (count === 0) throw new Error(`there is no pair ${what}; left out: ${leftOut}`);
  return `${count} pairs ${what}; left out: ${leftOut}`;
}

/** Share of pairs whose chosen answer gained on the rejected one, and the mean implicit reward difference beta * delta. */
function preferenceFigures(delta: Float32Array, beta: number): { accuracy: number; margin: number } {
  let [right, sum] = [0, 0];
  for (const value of delta) {
    right += value > 0 ? 1 : value === 0 ? 0.5 : 0;
    sum += value;
  }
  return { accuracy: right / delta.length, margin: (beta * sum) / delta.length };
}

/** A as in PEFT (uniform there, normal of the same deviation here), B zero: the expert starts as the base. */
function initialLora(
  shapes: ReadonlyMap<string, number[]>,
  random: ReturnType<typeof createRandom> | null,
): Parameters {
  return new Map(
    [...shapes].map(([name, shape]) => {
      const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
      if (random && name.endsWith('.a')) fillNormal(data, 1 / Math.sqrt(3 * shape[0]!), random);
      return [name, { shape, data }];
    }),
  );
}

type Scores = Map<number, [chosen: number, rejected: number]>;

/** The log-probabilities of every pair's two answers, in nats. */
async function scoreAll(
  buckets: readonly Bucket[],
  {
    score,
    parameters,
    feedsOf,
    label,
  }: {
    score: (bucket: Bucket) => Promise<GraphSession>;
    parameters: Parameters;
    feedsOf: (bucket: Bucket, items: readonly number[]) => { feeds: Record<string, Feed>; tokens: number };
    label: string | null;
  },
): Promise<Scores> {
  const scores: Scores = new Map();
  const total = buckets.reduce((sum, bucket) => sum + Math.ceil(bucket.items.length / (bucket.rows / 2)), 0);
  const progress = label === null ? null : createProgress(label, { total, start: 0 });
  let done = 0;
  for (const bucket of buckets) {
    const size = bucket.rows / 2;
    const session = await score(bucket);
    for (let i = 0; i < bucket.items.length; i += size) {
      const startedAt = performance.now();
      const items = bucket.items.slice(i, i + size);
      // The last batch may be short: the shape is fixed, so its last pair stands in for the missing ones.
      const padded = Array.from({ length: size }, (_, k) => items[Math.min(k, items.length - 1)]!);
      const { feeds, tokens } = feedsOf(bucket, padded);
      const { logprobs } = await session.run({ ...feeds, ...parameterFeeds(parameters) });
      items.forEach((item, k) => void scores.set(item, [logprobs![k]!, logprobs![size + k]!]));
      const mean = -logprobs!.reduce((a, b) => a + b, 0) / tokens;
      progress?.update(++done, { loss: mean, tokensPerSecond: (1000 * tokens) / (performance.now() - startedAt) });
    }
  }
  progress?.stop();
  return scores;
}

function pairedReference(reference: Scores, items: readonly number[]): Float32Array {
  const at = (side: 0 | 1) => items.map((item) => reference.get(item)![side]);
  return Float32Array.from([...at(0), ...at(1)]);
}

function cached<K, V>(make: (key: K) => V): (key: K) => V {
  const made = new Map<K, V>();
  return (key) => {
    const value = made.get(key) ?? make(key);
    made.set(key, value);
    return value;
  };
}
