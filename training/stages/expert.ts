/**
 * Stage `expert`: one LoRA expert on the frozen base by direct preference optimisation, on one dimension of the preferences:
 * `safer` for the safety expert, `better` for the helpfulness expert (MidPO, arXiv 2506.02460, section 3.1), with a margin from a
 * model of that dimension or without.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type Feed, float32, GraphSession } from '#gpu-backend/graph/session.ts';
import type { ExpertRole } from '#gpu-backend/model/manifest.ts';
import { type Bucket, tokenFeeds } from '../data/buckets.ts';
import type { TokenRow } from '../data/encode-chat.ts';
import type { Dimension } from '../data/preferences.ts';
import { buildDpoGraph, buildScoreGraph } from '../graphs/dpo-graph.ts';
import type { Variant } from '../graphs/router-graph.ts';
import { loraShapes } from '../graphs/training-inputs.ts';
import type { Parameters } from '../optim/adamw.ts';
import { loadCheckpoint } from '../run/checkpoint.ts';
import { every, parameterFeeds, runTraining } from '../run/loop.ts';
import { createRandom } from '../world/random.ts';
import type { MarginModel } from './margin-model.ts';
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
  /** `faithful` leaves the first differing token out of the log-probabilities, as MidPO's published code does. */
  variant: Variant;
};

export type ExpertOptions = PairStageOptions &
  ExpertSettings & {
    role: ExpertRole;
    /** MidPO's single-preference enhancement: what the log-ratio must exceed, pair by pair; null: plain DPO. */
    margin: MarginModel | null;
  };

const WARMUP_SHARE = 0.1;

export async function expertStage(options: ExpertOptions): Promise<void> {
  const { role, base, out, rank, alpha, beta, nllWeight, margin, seed, tokenizer, threads } = options;
  const { config } = base;
  const dropFirstDifference = options.variant === 'faithful';
  const setOptions = {
    tokenizer,
    config,
    dimension: ROLE_DIMENSION[role],
    pairsPerBatch: options.pairsPerBatch,
    dropFirstDifference,
  };
  const train = pairSet(options.train, { ...setOptions, what: 'to train on' });
  const heldOut = pairSet(options.heldOut, { ...setOptions, what: 'held out' });
  const plan = planPairs(train, { seed: `${seed}/${role}` });
  for (const { summary } of [train, heldOut]) process.stderr.write(`${role}: ${summary}\n`);
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
    variant: options.variant,
    margin: margin && { model: margin.name, scale: margin.scale },
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
  const feedsOf = (rows: readonly TokenRow[], bucket: Bucket) =>
    tokenFeeds(rows, bucket, { normalize: false, padId: tokenizer.padId });
  const logprobsOf = (set: PairSet, { under, label }: { under: Parameters; label: string | null }) =>
    scorePairs(set, {
      session: score,
      feeds: (rows, bucket) => ({ ...feedsOf(rows, bucket).feeds, ...parameterFeeds(under) }),
      output: 'logprobs',
      label,
    });
  const untrained = initialLora(loraShapes(config, rank), null);
  const reference = await logprobsOf(train, { under: untrained, label: `${role}: reference` });
  const heldOutReference = await logprobsOf(heldOut, { under: untrained, label: `${role}: held-out reference` });
  const margins = margin && (await margin.of(train, `${role}: margins`));

  await runTraining({
    label: role,
    dir: out,
    resume: options.resume,
    ...every(options),
    parameters,
    schedule: { peak: options.learningRate, warmupSteps: Math.ceil(totalSteps * WARMUP_SHARE), totalSteps },
    adamw: { beta2: 0.99 },
    settings,
    batchAt: async (step) => {
      const { bucket, items } = plan.at(step);
      const shape = train.buckets[bucket]!;
      const { feeds, tokens } = feedsOf(batchRows(train, items), shape);
      const session = await dpo(shape);
      const ahead = Float32Array.from(items, (item) => margins?.get(item) ?? 0);
      return {
        feeds: {
          ...feeds,
          reference: float32([shape.rows], pairedScores(reference, items)),
          margin: float32([items.length], ahead),
        },
        tokens,
        run: (all: Record<string, Feed>) => session.run(all),
        label: `pairs ${items.slice(0, 4).join(', ')}...`,
      };
    },
    figures: ({ delta, dpo, nll }) => ({ dpo: dpo![0]!, nll: nll![0]!, ...preferenceFigures(delta!, beta) }),
    evaluateEvery: Math.max(1, Math.ceil(totalSteps / 4)),
    evaluate: async () => {
      const now = await logprobsOf(heldOut, { under: parameters, label: null });
      const deltas = [...now].map(([item, [chosen, rejected]]) => {
        const [chosenRef, rejectedRef] = heldOutReference.get(item)!;
        return chosen - chosenRef - (rejected - rejectedRef);
      });
      const { accuracy, margin: gained } = preferenceFigures(deltas, beta);
      return { heldOutAccuracy: accuracy, heldOutMargin: gained };
    },
  });
}

/** A as in PEFT (uniform there, normal of the same deviation here), B zero: the expert starts as the base. */
export function initialLora(
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
