/**
 * The training loop of all stages: batches, AdamW, metrics, progress, checkpoints, resuming. Stages
 * differ only in their graph and their batches. The batch of a step depends only on the seed and
 * the step, so a resumed run continues with the same numbers.
 */

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Feed } from '#gpu-backend/graph/session.ts';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import { AdamW, type AdamWOptions, learningRateAt, notFinite, type Parameters, type Schedule } from '../optim/adamw.ts';
import { checkpoints, loadCheckpoint, removeCheckpoints, saveCheckpoint } from './checkpoint.ts';
import type { RunState } from './checkpoint-files.ts';
import { createProgress } from './progress.ts';
import { StoppedBySignal } from './stopped-by-signal.ts';
import { WriteError } from './write-error.ts';
import { appendLine, replaceFile } from './write-file.ts';

export type StepBatch = {
  /** Runs one batch. It gets `feeds` together with the parameters. */
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
  /**
   * Removes an earlier run in this folder, unless it is resumed. Without `force`, an earlier run
   * that is not resumed is an error.
   */
  force?: boolean | undefined;
  parameters: Parameters;
  schedule: Schedule;
  adamw: AdamWOptions;
  settings: RunState['settings'];
  /**
   * Files next to the checkpoints that say what is trained. The loop writes them once it knows that
   * the folder belongs to this run.
   */
  files?: Readonly<Record<string, object>>;
  batchAt: (step: number) => StepBatch | Promise<StepBatch>;
  /** Additional figures for the metrics, from a step's outputs. */
  figures?: (outputs: Record<string, Float32Array>) => Record<string, number>;
  /** Called every `evaluateEvery` steps and at the end. */
  evaluate?: () => Promise<Record<string, number>>;
  evaluateEvery?: number;
  /** How many seconds of work a killed run may lose; 120 by default. */
  checkpointEverySeconds?: number | undefined;
};

/**
 * Trains in place and returns the last state. On a signal it saves a checkpoint and throws
 * `StoppedBySignal`.
 */
export async function runTraining(options: RunOptions): Promise<RunState> {
  const { dir, parameters, schedule, settings, evaluateEvery = 250, checkpointEverySeconds = 120 } = options;
  const { totalSteps } = schedule;
  const newest = (await checkpoints(dir)).at(-1);
  if (newest !== undefined && !options.resume) {
    if (options.force !== true) {
      throw new Error(`${dir} holds a run (${newest}): --resume goes on with it, --force replaces it`);
    }
    await removeCheckpoints(dir);
  }
  const metricsFile = path.join(dir, 'metrics.jsonl');
  const optimizer = await AdamW.create(parameters, options.adamw);
  const note = (line: string) => void process.stderr.write(`${options.label}: ${line}\n`);
  const saved = await loadCheckpoint(dir, { parameters, optimizer, settings, fallBack: note });
  const { step: startStep, tokens, seconds } = saved ?? { step: 0, tokens: 0, seconds: 0 };
  const state: RunState = { step: startStep, tokens, seconds, settings };
  const write = (row: object) => appendLine(metricsFile, JSON.stringify(row));
  let savedStep = saved?.step ?? null;
  const save = async () => {
    // Saving the same step twice is risky: a kill between removing the old copy and renaming the
    // new one would lose the checkpoint.
    if (savedStep === state.step) return;
    await saveCheckpoint(dir, { state, parameters, optimizer });
    savedStep = state.step;
  };
  /** Whatever stops the run, the user needs to know which checkpoint is left. */
  const stopped = (problem: string, { cause, then = '' }: { cause?: unknown; then?: string } = {}) => {
    const last =
      savedStep === null ? 'no checkpoint was saved yet' : `the last checkpoint (step ${savedStep}) is intact`;
    return new Error(`${options.label}: ${problem}; ${last}${then}`, { cause });
  };

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
    makeFolder(dir);
    // This comes first: the metrics file is how we recognise a run's folder
    // (stages/folder-kinds.ts).
    if (!existsSync(metricsFile)) replaceFile(metricsFile, '');
    for (const [name, content] of Object.entries(options.files ?? {})) {
      replaceFile(path.join(dir, name), `${JSON.stringify(content, null, 2)}\n`);
    }
    keepMetricsUntil(metricsFile, state.step);
    while (state.step < totalSteps && stopSignal === null) {
      const step = state.step + 1;
      const startedAt = performance.now();
      const batch = await options.batchAt(step);
      const outputs = await batch.run({ ...batch.feeds, ...parameterFeeds(parameters) });
      const gradients = new Map([...parameters.keys()].map((name) => [name, outputs[`grad.${name}`]!]));
      const loss = outputs.loss![0]!;
      if (!Number.isFinite(loss)) {
        const broken = notFinite(gradients);
        const where =
          broken === undefined ? 'with every gradient finite' : `and the gradient of ${broken} is not finite`;
        throw stopped(`step ${step} (${batch.label}): the loss is ${loss}, ${where}`);
      }
      const learningRate = learningRateAt(step, schedule);
      let norm: number;
      try {
        norm = optimizer.step(gradients, { step, learningRate });
      } catch (cause) {
        throw stopped(`step ${step} (${batch.label}): ${(cause as Error).message}`, { cause });
      }
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
      // run() blocks the thread, so we handle signals between steps.
      await new Promise(setImmediate);
    }
    await save();
  } catch (error) {
    if (!(error instanceof WriteError)) throw error;
    const then = '; once the file can be written, --resume goes on';
    throw stopped(`step ${state.step}: ${error.message}`, { cause: error, then });
  } finally {
    progress.stop();
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
  if (stopSignal !== null) {
    const message = `${options.label}: ${stopSignal}: saved at step ${state.step}; --resume goes on from here`;
    throw new StoppedBySignal(message);
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

/** Drops the metrics of steps after the last checkpoint, because these steps will run again. */
function keepMetricsUntil(file: string, step: number): void {
  if (!existsSync(file)) return;
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
  const kept = lines.filter((line) => {
    try {
      return (JSON.parse(line) as { step: number }).step <= step;
    } catch {
      return false; // A kill cut this line off.
    }
  });
  if (kept.length < lines.length) replaceFile(file, kept.map((line) => `${line}\n`).join(''));
}
