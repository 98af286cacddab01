/**
 * The training loop of all stages: batches, AdamW, metrics, progress, checkpoints, resuming. Stages
 * differ only in their graph and their batches. The batch of a step depends only on the seed and
 * the step, so a resumed run continues with the same numbers.
 */

import { existsSync } from 'node:fs';
import path from 'node:path';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import { AdamW, type AdamWOptions, learningRateAt, notFinite, type Parameters, type Schedule } from '../optim/adamw.ts';
import {
  bestStep,
  checkpoints,
  loadCheckpoint,
  removeBest,
  removeCheckpoints,
  saveBest,
  saveCheckpoint,
} from './checkpoint.ts';
import type { RunState } from './checkpoint-files.ts';
import { assertExtendable, EXTENT, rateWarning } from './extent.ts';
import { keepRowsUntil, METRICS_FILE, type MetricsRow, readRows, SAMPLES_FILE } from './metrics-file.ts';
import { createProgress } from './progress.ts';
import { runStep, type SeenShapes, type StepBatch } from './run-step.ts';
import { StoppedBySignal } from './stopped-by-signal.ts';
import { WriteError } from './write-error.ts';
import { appendLine, replaceFile } from './write-file.ts';

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
  /**
   * The schedule of a run with these settings. If given, a resumed run may have other epochs or
   * another number of steps, where that does not change the steps it has made (`extent.ts`).
   */
  scheduleBefore?: ((settings: RunState['settings']) => Schedule) | undefined;
  adamw: AdamWOptions;
  settings: RunState['settings'];
  /**
   * Files next to the checkpoints that say what is trained. The loop writes them once it knows that
   * the folder belongs to this run.
   */
  files?: Readonly<Record<string, object>>;
  /** The batch of this number, counted from 1. Without `accumulate` that is the step's. */
  batchAt: (number: number) => StepBatch | Promise<StepBatch>;
  /** How many batches make one update; 1 by default. */
  accumulate?: number | undefined;
  /** Additional figures for the metrics, from a step's outputs. */
  figures?: (outputs: Record<string, Float32Array>) => Record<string, number>;
  /** Called every `evaluateEvery` steps and at the end. */
  evaluate?: () => Promise<Record<string, number>>;
  evaluateEvery?: number | undefined;
  /**
   * `best` keeps the weights with the lowest `heldOutLoss` of all evaluations, for the stages that
   * build on this run. `last` leaves them the newest weights, and removes best ones of a run that
   * goes on. By default a run that goes on keeps what it has kept so far, and a new one `last`.
   */
  keep?: 'best' | 'last' | undefined;
  /** Answers to a few prompts, shown before the first step and at every evaluation. */
  sample?: (() => Promise<Sample[]>) | undefined;
  /** How many seconds of work a killed run may lose; 120 by default. */
  checkpointEverySeconds?: number | undefined;
};

export type Sample = { prompt: string; answer: string };

/**
 * Trains in place and returns the last state. On a signal it saves a checkpoint and throws
 * `StoppedBySignal`.
 */
export async function runTraining(options: RunOptions): Promise<RunState> {
  const { dir, parameters, schedule, settings, evaluateEvery = 250, checkpointEverySeconds = 120 } = options;
  const { accumulate = 1, scheduleBefore } = options;
  const { totalSteps } = schedule;
  const newest = (await checkpoints(dir)).at(-1);
  if (!options.resume) {
    if (newest !== undefined && options.force !== true) {
      throw new Error(`${dir} holds a run (${newest}): --resume goes on with it, --force replaces it`);
    }
    await removeCheckpoints(dir);
  }
  const [metricsFile, samplesFile] = [path.join(dir, METRICS_FILE), path.join(dir, SAMPLES_FILE)];
  const optimizer = await AdamW.create(parameters, options.adamw);
  const note = (line: string) => void process.stderr.write(`${options.label}: ${line}\n`);
  const mayDiffer = scheduleBefore ? EXTENT : [];
  const saved = await loadCheckpoint(dir, { parameters, optimizer, settings, mayDiffer, fallBack: note });
  if (saved && scheduleBefore) assertExtendable(dir, saved, { before: scheduleBefore(saved.settings), now: schedule });
  const warning = rateWarning(schedule.peak);
  if (warning !== null) note(warning);
  // Best weights without a checkpoint are of a run that was killed early. It begins anew, perhaps
  // with other settings.
  const kept = await bestStep(dir);
  if (saved === null) await removeCheckpoints(dir);
  const keep = options.keep ?? saved?.keep ?? (kept === null ? 'last' : 'best');
  const { step: startStep, tokens, seconds } = saved ?? { step: 0, tokens: 0, seconds: 0 };
  const state: RunState = { step: startStep, tokens, seconds, settings, keep };
  const write = (row: object) => appendLine(metricsFile, JSON.stringify(row));
  let savedStep = saved?.step ?? null;
  const save = async () => {
    // Saving the same step twice is risky: a kill between removing the old copy and renaming the
    // new one would lose the checkpoint.
    if (savedStep === state.step) return;
    await saveCheckpoint(dir, { state, parameters, optimizer });
    savedStep = state.step;
  };
  let best = Number.POSITIVE_INFINITY;
  const evaluate = async () => {
    if (!options.evaluate) return;
    const figures = await options.evaluate();
    write({ step: state.step, ...figures });
    progress.note(`${options.label} step ${state.step}: ${formatFigures(figures)}`);
    const { heldOutLoss = Number.NaN } = figures;
    if (keep !== 'best' || !(heldOutLoss < best)) return;
    await saveBest(dir, { state, parameters });
    best = heldOutLoss;
  };
  const sample = async () => {
    for (const { prompt, answer } of (await options.sample?.()) ?? []) {
      appendLine(samplesFile, JSON.stringify({ step: state.step, prompt, answer }));
      progress.note(`${options.label} step ${state.step}: ${inOneLine(prompt, 60)} -> ${inOneLine(answer, 200)}`);
    }
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
    keepRowsUntil(metricsFile, state.step);
    // The samples of step 0 are made again if nothing has been saved since.
    keepRowsUntil(samplesFile, state.step === 0 ? -1 : state.step);
    if (keep === 'last') await removeBest(dir);
    else best = lossAt(readRows(metricsFile), saved && kept);
    if (state.step === 0) await sample();
    const seen: SeenShapes = new Set();
    while (state.step < totalSteps && stopSignal === null) {
      const step = state.step + 1;
      const startedAt = performance.now();
      const numbers = Array.from({ length: accumulate }, (_, i) => state.step * accumulate + i + 1);
      const done = await runStep(numbers, {
        batchAt: options.batchAt,
        parameters,
        figures: options.figures,
        seen,
        check: ({ loss, gradients, label }) => {
          if (Number.isFinite(loss)) return;
          const broken = notFinite(gradients);
          const where =
            broken === undefined ? 'with every gradient finite' : `and the gradient of ${broken} is not finite`;
          throw stopped(`step ${step} (${label}): the loss is ${loss}, ${where}`);
        },
      });
      const { loss, gradients, tokens, label, figures } = done;
      const learningRate = learningRateAt(step, schedule);
      let norm: number;
      try {
        norm = optimizer.step(gradients, { step, learningRate });
      } catch (cause) {
        throw stopped(`step ${step} (${label}): ${(cause as Error).message}`, { cause });
      }
      const seconds = (performance.now() - startedAt) / 1000;
      state.step = step;
      state.tokens += tokens;
      state.seconds += seconds;
      smoothedLoss = smooth(smoothedLoss, loss);
      if (done.warm) smoothedSpeed = smooth(smoothedSpeed, tokens / seconds);
      write({
        step,
        loss,
        learningRate,
        norm,
        tokens: state.tokens,
        seconds: state.seconds,
        ...figures,
      });
      progress.update(step, { figure: smoothedLoss, tokensPerSecond: smoothedSpeed });
      if (step % evaluateEvery === 0 || step === totalSteps) {
        await evaluate();
        await sample();
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

/** The held-out loss of an evaluation; infinite if there was none at this step. */
function lossAt(rows: readonly MetricsRow[], step: number | null): number {
  return (
    rows.find((row) => row.step === step && row.heldOutLoss !== undefined)?.heldOutLoss ?? Number.POSITIVE_INFINITY
  );
}

function smooth(before: number, now: number): number {
  return Number.isNaN(before) ? now : 0.95 * before + 0.05 * now;
}

function formatFigures(figures: Record<string, number>): string {
  return Object.entries(figures)
    .map(([name, value]) => `${name} ${value.toFixed(4)}`)
    .join(', ');
}

function inOneLine(text: string, most: number): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length <= most ? line : `${line.slice(0, most)}...`;
}
