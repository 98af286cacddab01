/**
 * The one training loop: batches in, AdamW, metrics, progress, checkpoints, resume. Stages differ in their graph and their
 * batches. The batch of a step depends on the seed and the step alone, so a resumed run goes on with the same numbers.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Feed } from '#gpu-backend/graph/session.ts';
import { AdamW, type AdamWOptions, learningRateAt, type Parameters, type Schedule } from '../optim/adamw.ts';
import { loadCheckpoint, type RunState, saveCheckpoint } from './checkpoint.ts';
import { createProgress } from './progress.ts';

export type StepBatch = {
  /** Runs one batch: `feeds` together with the parameters. */
  run: (feeds: Record<string, Feed>) => Promise<Record<string, Float32Array>>;
  feeds: Record<string, Feed>;
  tokens: number;
  /** Says which batch this was, for errors. */
  label: string;
};

export type RunOptions = {
  label: string;
  /** Where checkpoints and `metrics.jsonl` go. */
  dir: string;
  resume: boolean;
  parameters: Parameters;
  schedule: Schedule;
  adamw: AdamWOptions;
  settings: RunState['settings'];
  batchAt: (step: number) => StepBatch | Promise<StepBatch>;
  /** Further figures of a step's outputs for the metrics. */
  figures?: (outputs: Record<string, Float32Array>) => Record<string, number>;
  /** Every `evaluateEvery` steps and at the end. */
  evaluate?: () => Promise<Record<string, number>>;
  evaluateEvery?: number;
  /** What a killed run may lose; 120 where none is asked for. */
  checkpointEverySeconds?: number | undefined;
};

/** Trains in place and returns the last state. A signal saves a checkpoint and stops. */
export async function runTraining(options: RunOptions): Promise<RunState> {
  const { dir, parameters, schedule, settings, evaluateEvery = 250, checkpointEverySeconds = 120 } = options;
  const { totalSteps } = schedule;
  mkdirSync(dir, { recursive: true });
  const metricsFile = path.join(dir, 'metrics.jsonl');
  const optimizer = new AdamW(parameters, options.adamw);
  const saved = await loadCheckpoint(dir, { parameters, optimizer, settings });
  if (saved && !options.resume) {
    throw new Error(`${dir} holds a run at step ${saved.step}: give --resume to go on with it, or remove the folder`);
  }
  const state: RunState = saved ?? { step: 0, tokens: 0, seconds: 0, settings };
  dropMetricsAfter(metricsFile, state.step);
  const write = (row: object) => appendFileSync(metricsFile, `${JSON.stringify(row)}\n`);
  const save = () => saveCheckpoint(dir, { state, parameters, optimizer });

  let stopSignal: NodeJS.Signals | null = null;
  const onSignal = (signal: NodeJS.Signals) => {
    stopSignal = signal;
  };
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  const progress = createProgress(options.label, { total: totalSteps, start: state.step });
  if (saved) progress.note(`${options.label}: resumed at step ${state.step}`);
  let lastSave = performance.now();
  let smoothedLoss = Number.NaN;
  let smoothedSpeed = Number.NaN;
  try {
    while (state.step < totalSteps && stopSignal === null) {
      const step = state.step + 1;
      const startedAt = performance.now();
      const batch = await options.batchAt(step);
      const outputs = await batch.run({ ...batch.feeds, ...parameterFeeds(parameters) });
      const loss = outputs.loss![0]!;
      if (!Number.isFinite(loss)) {
        throw new Error(
          `${options.label}: step ${step} (${batch.label}): the loss is ${loss}; the last checkpoint is intact`,
        );
      }
      const gradients = new Map([...parameters.keys()].map((name) => [name, outputs[`grad.${name}`]!]));
      const learningRate = learningRateAt(step, schedule);
      const norm = optimizer.step(gradients, { step, learningRate });
      const seconds = (performance.now() - startedAt) / 1000;
      state.step = step;
      state.tokens += batch.tokens;
      state.seconds += seconds;
      smoothedLoss = smooth(smoothedLoss, loss);
      smoothedSpeed = smooth(smoothedSpeed, batch.tokens / seconds);
      write({
        step,
        loss,
        learningRate,
        norm,
        tokens: state.tokens,
        seconds: state.seconds,
        ...options.figures?.(outputs),
      });
      progress.update(step, { loss: smoothedLoss, tokensPerSecond: smoothedSpeed });
      if (options.evaluate && (step % evaluateEvery === 0 || step === totalSteps)) {
        const figures = await options.evaluate();
        write({ step, ...figures });
        progress.note(`${options.label} step ${step}: ${formatFigures(figures)}`);
      }
      if ((performance.now() - lastSave) / 1000 > checkpointEverySeconds) {
        await save();
        lastSave = performance.now();
      }
      // run() blocks the thread: let signals in between steps.
      await new Promise(setImmediate);
    }
    await save();
  } finally {
    progress.stop();
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
  if (stopSignal !== null) {
    progress.note(`${options.label}: ${stopSignal}: saved at step ${state.step}; --resume goes on from here`);
    process.exit(130);
  }
  return state;
}

export function parameterFeeds(parameters: Parameters): Record<string, Feed> {
  return Object.fromEntries([...parameters].map(([name, { shape, data }]) => [name, { dims: shape, data }]));
}

function smooth(before: number, now: number): number {
  return Number.isNaN(before) ? now : 0.95 * before + 0.05 * now;
}

function formatFigures(figures: Record<string, number>): string {
  return Object.entries(figures)
    .map(([name, value]) => `${name} ${value.toFixed(4)}`)
    .join(', ');
}

/** A run killed after its last checkpoint has metrics that will be made again. */
function dropMetricsAfter(file: string, step: number): void {
  if (!existsSync(file)) return;
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
  const kept = lines.filter((line) => {
    try {
      return (JSON.parse(line) as { step: number }).step <= step;
    } catch {
      return false; // The line that the kill cut in two.
    }
  });
  writeFileSync(file, kept.map((line) => `${line}\n`).join(''));
}
