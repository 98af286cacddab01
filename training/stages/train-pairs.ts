/**
 * What the stages that train on pairs have in common: the sets and their summary, the batch order,
 * the schedule and the run's settings.
 */
import path from 'node:path';
import * as z from 'zod';
import { planBatches } from '../data/buckets.ts';
import { digestOfRows } from '../data/digest-of-rows.ts';
import type { Preference } from '../data/rows.ts';
import type { BatchShape } from '../graphs/training-inputs.ts';
import type { Parameters } from '../optim/adamw.ts';
import { loadCheckpoint, removeBest, savedSettings } from '../run/checkpoint.ts';
import { assertExtendable, EXTENT, type Pace, paceSettings, scheduleBefore, scheduleOf } from '../run/extent.ts';
import { type RunOptions, runTraining } from '../run/loop.ts';
import type { StepBatch } from '../run/run-step.ts';
import { replaceFile } from '../run/write-file.ts';
import type { TrainingTokenizer } from '../tokenizer/chat-files.ts';
import { unusedTokens } from './assert-tokens-fit.ts';
import type { BaseModel } from './base-model.ts';
import { OLDER_STEP, type PairSet, type PairSetOptions, pairSet, stepOf } from './pair-set.ts';
import type { SampleOptions } from './sample-answers.ts';
import { SOURCES_FILE, sourcesFile } from './sources-file.ts';

/** The options that every stage for pairs gets, besides its own settings. */
export type PairStageOptions = Pace & {
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
  /** Steps between evaluations. 0, the default: four evaluations a run. */
  evalEvery?: number | undefined;
  /** See `RunOptions`. */
  keep?: RunOptions['keep'];
  /** Sample answers at every evaluation, where the stage has a model that answers. */
  samples?: SampleOptions | undefined;
  pairsPerBatch: number;
  /** Folders of runs whose data is in the weights too, because this run learns from them. */
  builtOn?: readonly string[] | undefined;
};

const WARMUP_SHARE = 0.1;
/** A run goes on with the step that it began with. */
const BucketStep = z
  .looseObject({ bucketStep: z.int().min(1).default(OLDER_STEP) })
  .transform(({ bucketStep }) => bucketStep);

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
  prepare: (sets: {
    train: PairSet;
    /** The same, but with only those pairs in its buckets that the run will train on. */
    seen: PairSet;
    heldOut: PairSet;
  }) => Promise<{
    batch: (items: readonly number[], shape: BatchShape) => Promise<Omit<StepBatch, 'label'>>;
    figures: NonNullable<RunOptions['figures']>;
    evaluate: NonNullable<RunOptions['evaluate']>;
    sample?: RunOptions['sample'];
  }>;
};

/** Trains `parameters` in place. */
export async function trainPairs(options: PairStageOptions, training: PairTraining): Promise<void> {
  const { out, resume, seed, base, tokenizer, pairsPerBatch } = options;
  const { label, parameters } = training;
  const before = resume ? await savedSettings(out) : null;
  const step = before ? BucketStep.parse(before) : stepOf(pairsPerBatch);
  const setOptions = { ...training.encoding, tokenizer, config: base.config, pairsPerBatch, step };
  const train = pairSet(options.train, { ...setOptions, what: 'to train on' });
  const heldOut = pairSet(options.heldOut, { ...setOptions, what: 'held out' });
  const plan = planBatches(train.buckets, { seed: `${seed}/${training.order}`, rowsPerItem: 2 });
  for (const { summary } of [train, heldOut]) process.stderr.write(`${label}: ${summary}\n`);
  const unused = unusedTokens(base.config, tokenizer);
  if (unused !== null) process.stderr.write(`${label}: ${unused}\n`);
  process.stderr.write(`${label}: ${plan.perEpoch} batches an epoch\n`);

  const pacing = { perEpoch: plan.perEpoch, warmup: (steps: number) => Math.ceil(steps * WARMUP_SHARE) };
  const schedule = scheduleOf(options, pacing);
  const scheduleOfRun = (settings: RunOptions['settings']) => scheduleBefore(settings, options, pacing);
  const { totalSteps } = schedule;
  const settings = {
    seed,
    ...paceSettings(options),
    pairsPerBatch,
    // It decides which pairs share a batch. Older runs do not say.
    ...(step !== OLDER_STEP && { bucketStep: step }),
    base: base.digest,
    tokenizer: tokenizer.digest,
    ...training.settings,
    ...options.dataSettings,
    // Comes last, so that an error names the file that has changed, if one has.
    data: { 'to train on': digestOfRows(options.train), 'held out': digestOfRows(options.heldOut) },
  };
  const fallBack = (note: string) => void process.stderr.write(`${label}: ${note}\n`);
  const saved = resume ? await loadCheckpoint(out, { parameters, settings, mayDiffer: EXTENT, fallBack }) : null;
  if (saved) assertExtendable(out, saved, { before: scheduleOfRun(saved.settings), now: schedule });
  const sources = await sourcesFile(options.train, options.builtOn);
  if (saved?.step === totalSteps) {
    // What the user says of them may have changed since, and does not change the weights.
    replaceFile(path.join(out, SOURCES_FILE), `${JSON.stringify(sources, null, 2)}\n`);
    if (options.keep === 'last') await removeBest(out);
    return;
  }
  const { batch, figures, evaluate, sample } = await training.prepare({
    train,
    seen: seenPairs(train, plan, totalSteps * (options.accumulate ?? 1)),
    heldOut,
  });
  await runTraining({
    label,
    dir: out,
    resume,
    force: options.force,
    checkpointEverySeconds: options.checkpointEverySeconds,
    parameters,
    schedule,
    scheduleBefore: scheduleOfRun,
    adamw: { beta2: 0.99, weightDecay: training.weightDecay ?? 0 },
    settings,
    files: { ...training.files, [SOURCES_FILE]: sources },
    accumulate: options.accumulate,
    batchAt: async (number) => {
      const { bucket, items } = plan.at(number);
      const label = `pairs ${items.slice(0, 4).join(', ')}...`;
      return { ...(await batch(items, train.buckets[bucket]!)), weight: items.length, label };
    },
    figures,
    evaluateEvery: options.evalEvery || Math.max(1, Math.ceil(totalSteps / 4)),
    evaluate,
    keep: options.keep,
    sample,
  });
}

/** A run that is shorter than an epoch needs no reference for the pairs that it never sees. */
export function seenPairs(train: PairSet, plan: ReturnType<typeof planBatches>, batches: number): PairSet {
  if (batches >= plan.perEpoch) return train;
  const seen = new Set(Array.from({ length: batches }, (_, i) => plan.at(i + 1).items).flat());
  const buckets = train.buckets.map((bucket) => ({ ...bucket, items: bucket.items.filter((item) => seen.has(item)) }));
  return { ...train, buckets };
}
