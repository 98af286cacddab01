/**
 * Stage `router`: how much of each frozen expert a token gets, learned on D_dual (`graphs/router-graph.ts`). Two kinds: `layers` is MidPO's own,
 * `logits` is the one whose trained form is the served form.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { type Feed, float32, GraphSession } from '#gpu-backend/graph/session.ts';
import { type Bucket, tokenFeeds } from '../data/buckets.ts';
import type { TokenRow } from '../data/encode-chat.ts';
import { buildScoreGraph } from '../graphs/dpo-graph.ts';
import {
  buildRoutedScoreGraph,
  buildRouterGraph,
  type RouterKind,
  routerShapes,
  type Variant,
} from '../graphs/router-graph.ts';
import { loraShapes } from '../graphs/training-inputs.ts';
import type { Parameters } from '../optim/adamw.ts';
import { every, parameterFeeds, runTraining } from '../run/loop.ts';
import { createRandom } from '../world/random.ts';
import { emptyTensors } from './base-model.ts';
import type { ExpertWeights } from './expert-weights.ts';
import {
  batchRows,
  cached,
  type PairSet,
  type PairStageOptions,
  pairedScores,
  pairSet,
  planPairs,
  scorePairs,
} from './pair-set.ts';
import { preferenceFigures } from './preference-figures.ts';
import { fillNormal } from './sft.ts';

/** Written beside the checkpoints. */
export const RouterJson = z.strictObject({
  kind: z.enum(['layers', 'logits']),
  variant: z.enum(['faithful', 'corrected']),
  /** Units of the hidden layer; only `logits` has one. */
  width: z.int().min(1),
});

export type RouterSettings = {
  kind: RouterKind;
  variant: Variant;
  width: number;
  beta: number;
  /** Weight of mean |alpha| + mean |beta - 1|. */
  lambda: number;
  learningRate: number;
  pairsPerBatch: number;
  epochs: number;
};

/** `train` and `heldOut` are D_dual: `better` is the winner. */
export type RouterOptions = PairStageOptions & RouterSettings & { safety: ExpertWeights; helpfulness: ExpertWeights };

const WARMUP_SHARE = 0.1;

export async function routerStage(options: RouterOptions): Promise<void> {
  const { kind, variant, width, beta, lambda, base, safety, helpfulness, out, seed, tokenizer, threads } = options;
  const { config } = base;
  if (safety.rank !== helpfulness.rank || safety.alpha !== helpfulness.alpha) {
    throw new Error(
      `a router needs experts of one rank and alpha: found r ${safety.rank}, alpha ${safety.alpha} and r ${helpfulness.rank}, alpha ${helpfulness.alpha}`,
    );
  }
  const setOptions = {
    tokenizer,
    config,
    dimension: 'better' as const,
    pairsPerBatch: options.pairsPerBatch,
    dropFirstDifference: variant === 'faithful',
  };
  const train = pairSet(options.train, { ...setOptions, what: 'to train on' });
  const heldOut = pairSet(options.heldOut, { ...setOptions, what: 'held out' });
  const plan = planPairs(train, { seed: `${seed}/router/${kind}` });
  for (const { summary } of [train, heldOut]) process.stderr.write(`router ${kind}: ${summary}\n`);
  process.stderr.write(`router ${kind}: ${plan.perEpoch} batches an epoch\n`);
  await mkdir(out, { recursive: true });
  await writeFile(path.join(out, 'router.json'), `${JSON.stringify({ kind, variant, width }, null, 2)}\n`);

  const { rank } = safety;
  const trueScale = safety.alpha / rank;
  const experts = { base: base.weights, safety: safety.layers, helpfulness: helpfulness.layers, rank, kind, width };
  const trainer = cached((batch: Bucket) => {
    const loraScale = variant === 'faithful' ? 1 : trueScale;
    return GraphSession.create(buildRouterGraph(config, { ...experts, loraScale, batch, beta, lambda }), { threads });
  });
  // What is measured is what will be served, so at the experts' own scale in either variant.
  const routed = cached((batch: Bucket) =>
    GraphSession.create(buildRoutedScoreGraph(config, { ...experts, loraScale: trueScale, batch }), { threads }),
  );
  const bare = cached((batch: Bucket) =>
    GraphSession.create(buildScoreGraph(config, { base: base.weights, rank, loraScale: 1, batch }), { threads }),
  );
  const feedsOf = (rows: readonly TokenRow[], bucket: Bucket) =>
    tokenFeeds(rows, bucket, { normalize: false, padId: tokenizer.padId });
  const zero = parameterFeeds(emptyTensors(loraShapes(config, rank)));
  const referenceOf = (set: PairSet, label: string) =>
    scorePairs(set, {
      session: bare,
      feeds: (rows, bucket) => ({ ...feedsOf(rows, bucket).feeds, ...zero }),
      output: 'logprobs',
      label,
    });
  const reference = await referenceOf(train, `router ${kind}: reference`);
  const heldOutReference = await referenceOf(heldOut, `router ${kind}: held-out reference`);

  const parameters = initialRouter(routerShapes(config, { kind, width }), `${seed}/router/${kind}`);
  const totalSteps = plan.perEpoch * options.epochs;
  await runTraining({
    label: `router ${kind}`,
    dir: out,
    resume: options.resume,
    ...every(options),
    parameters,
    schedule: { peak: options.learningRate, warmupSteps: Math.ceil(totalSteps * WARMUP_SHARE), totalSteps },
    adamw: { beta2: 0.99 },
    settings: {
      kind,
      variant,
      width,
      seed,
      beta,
      lambda,
      learningRate: options.learningRate,
      pairsPerBatch: options.pairsPerBatch,
      epochs: options.epochs,
      base: base.state.step,
      ...options.dataSettings,
    },
    batchAt: async (step) => {
      const { bucket, items } = plan.at(step);
      const shape = train.buckets[bucket]!;
      const { feeds, tokens } = feedsOf(batchRows(train, items), shape);
      const session = await trainer(shape);
      return {
        feeds: {
          ...feeds,
          reference: float32([shape.rows], pairedScores(reference, items)),
          margin: float32([items.length], new Float32Array(items.length)),
          regulariser_weights: countedTokens(feeds.loss_weights!.data as Float32Array, shape, variant),
        },
        tokens,
        run: (all: Record<string, Feed>) => session.run(all),
        label: `pairs ${items.slice(0, 4).join(', ')}...`,
      };
    },
    figures: ({ delta, dpo, regulariser }) => ({
      dpo: dpo![0]!,
      regulariser: regulariser![0]!,
      ...preferenceFigures(delta!, beta),
    }),
    evaluateEvery: Math.max(1, Math.ceil(totalSteps / 4)),
    evaluate: async () => {
      const now = await scorePairs(heldOut, {
        session: routed,
        feeds: (rows, bucket) => ({ ...feedsOf(rows, bucket).feeds, ...parameterFeeds(parameters) }),
        output: 'logprobs',
        label: null,
      });
      const deltas = [...now].map(([item, [chosen, rejected]]) => {
        const [chosenRef, rejectedRef] = heldOutReference.get(item)!;
        return chosen - chosenRef - (rejected - rejectedRef);
      });
      const { accuracy, margin } = preferenceFigures(deltas, beta);
      return { heldOutAccuracy: accuracy, heldOutMargin: margin };
    },
  });
}

/** Which positions the regulariser's mean is over: every one, as published, or the answers' tokens. */
function countedTokens(answerTokens: Float32Array, { rows, length }: Bucket, variant: Variant): Feed {
  const counted = variant === 'faithful' ? new Float32Array(answerTokens.length).fill(1) : answerTokens;
  const total = counted.reduce((a, b) => a + b, 0);
  return float32(
    [rows, length],
    counted.map((weight) => weight / total),
  );
}

/** Every gate at a half: weights 0 into a sigmoid. A hidden layer must differ from unit to unit, or it stays one unit. */
function initialRouter(shapes: ReadonlyMap<string, number[]>, seed: string): Parameters {
  const parameters = emptyTensors(shapes);
  const hidden = parameters.get('router.hidden.weight');
  if (hidden) fillNormal(hidden.data, 1 / Math.sqrt(hidden.shape[0]!), createRandom(seed));
  return parameters;
}
