/**
 * What the stages that train on pairs have in common: the sets and their summary, the batch order,
 * the schedule and the run's settings.
 */
import { planBatches } from '../data/buckets.ts';
import { digestOfRows } from '../data/digest-of-rows.ts';
import type { Preference } from '../data/rows.ts';
import type { BatchShape } from '../graphs/training-inputs.ts';
import type { Parameters } from '../optim/adamw.ts';
import { loadCheckpoint } from '../run/checkpoint.ts';
import { type RunOptions, runTraining, type StepBatch } from '../run/loop.ts';
import type { TrainingTokenizer } from '../tokenizer/chat-files.ts';
import { unusedTokens } from './assert-tokens-fit.ts';
import type { BaseModel } from './base-model.ts';
import { type PairSet, type PairSetOptions, pairSet } from './pair-set.ts';

/** The options that every stage for pairs gets, besides its own settings. */
export type PairStageOptions = {
  /** Where checkpoints and metrics go. */
  out: string;
  resume: boolean;
  /** See `RunOptions`. */
  force?: boolean;
  seed: number;
  base: BaseModel;
  tokenizer: TrainingTokenizer;
  train: Preference[];
  heldOut: Preference[];
  /** The settings that determined the pairs. The checkpoint keeps them. */
  dataSettings: Record<string, unknown>;
  threads: number;
  checkpointEverySeconds?: number;
  learningRate: number;
  pairsPerBatch: number;
  epochs: number;
};

const WARMUP_SHARE = 0.1;

export type PairTraining = {
  /** For the progress bar and the summary. */
  label: string;
  /** Together with the seed, decides the order of the batches. */
  order: string;
  encoding: Pick<PairSetOptions, 'dimension' | 'feeds' | 'dropFirstDifference'>;
  parameters: Parameters;
  weightDecay?: number;
  /** The settings that determine the result, besides `PairStageOptions`. */
  settings: Record<string, unknown>;
  /** See `RunOptions`. They tell the stages that build on this run what they must know about it. */
  files: NonNullable<RunOptions['files']>;
  /**
   * Called once, and only if there are steps left to train, so that a finished run does not score
   * its reference again.
   */
  prepare: (sets: { train: PairSet; heldOut: PairSet }) => Promise<{
    batch: (items: readonly number[], shape: BatchShape) => Promise<Omit<StepBatch, 'label'>>;
    figures: NonNullable<RunOptions['figures']>;
    evaluate: NonNullable<RunOptions['evaluate']>;
  }>;
};

/** Trains `parameters` in place. */
export async function trainPairs(options: PairStageOptions, training: PairTraining): Promise<void> {
  const { out, resume, seed, base, tokenizer, learningRate, pairsPerBatch, epochs } = options;
  const { label, parameters } = training;
  const setOptions = { ...training.encoding, tokenizer, config: base.config, pairsPerBatch };
  const train = pairSet(options.train, { ...setOptions, what: 'to train on' });
  const heldOut = pairSet(options.heldOut, { ...setOptions, what: 'held out' });
  const plan = planBatches(train.buckets, { seed: `${seed}/${training.order}`, rowsPerItem: 2 });
  for (const { summary } of [train, heldOut]) process.stderr.write(`${label}: ${summary}\n`);
  const unused = unusedTokens(base.config, tokenizer);
  if (unused !== null) process.stderr.write(`${label}: ${unused}\n`);
  process.stderr.write(`${label}: ${plan.perEpoch} batches an epoch\n`);

  const totalSteps = plan.perEpoch * epochs;
  const settings = {
    seed,
    learningRate,
    pairsPerBatch,
    epochs,
    base: base.digest,
    tokenizer: tokenizer.digest,
    data: { 'to train on': digestOfRows(options.train), 'held out': digestOfRows(options.heldOut) },
    ...training.settings,
    ...options.dataSettings,
  };
  const fallBack = (note: string) => void process.stderr.write(`${label}: ${note}\n`);
  if (resume && (await loadCheckpoint(out, { parameters, settings, fallBack }))?.step === totalSteps) return;
  const { batch, figures, evaluate } = await training.prepare({ train, heldOut });
  await runTraining({
    label,
    dir: out,
    resume,
    force: options.force,
    checkpointEverySeconds: options.checkpointEverySeconds,
    parameters,
    schedule: { peak: learningRate, warmupSteps: Math.ceil(totalSteps * WARMUP_SHARE), totalSteps },
    adamw: { beta2: 0.99, weightDecay: training.weightDecay ?? 0 },
    settings,
    files: training.files,
    batchAt: async (step) => {
      const { bucket, items } = plan.at(step);
      return { ...(await batch(items, train.buckets[bucket]!)), label: `pairs ${items.slice(0, 4).join(', ')}...` };
    },
    figures,
    evaluateEvery: Math.max(1, Math.ceil(totalSteps / 4)),
    evaluate,
  });
}
