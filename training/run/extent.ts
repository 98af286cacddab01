/**
 * How long a run is. A finished or stopped run may go on for longer than it was first meant to,
 * where that changes nothing about the steps it has made.
 */
import * as z from 'zod';
import { learningRateAt, type SCHEDULES, type Schedule } from '../optim/adamw.ts';
import type { RunState } from './checkpoint-files.ts';

/** The settings that decide how an epoch becomes steps, and what rate each step has. */
export type Pace = {
  learningRate: number;
  /** Passes over the data; may be a fraction. 0: `steps` says how long the run is. */
  epochs?: number;
  steps?: number;
  /** The most steps; 0: as many as the epochs have. */
  maxSteps?: number;
  /** Batches in one update. */
  accumulate?: number;
  schedule?: (typeof SCHEDULES)[number];
  /** 0: the stage's own. */
  warmupSteps?: number;
};

/** The settings that a resumed run may change, if `assertExtendable` allows it. */
export const EXTENT = ['epochs', 'steps', 'maxSteps'] as const;
const Extent = z.looseObject({
  epochs: z.number().default(0),
  steps: z.int().default(0),
  maxSteps: z.int().default(0),
});

/** How a stage turns its pace into steps: batches in an epoch, and how many steps warm up. */
type Pacing = { perEpoch: number; warmup: (totalSteps: number) => number };

/** For a run's settings. Leaves out what is not used, so that older runs have the same settings. */
export function paceSettings({ learningRate, epochs, steps, maxSteps, accumulate, schedule, warmupSteps }: Pace) {
  return {
    learningRate,
    ...(epochs ? { epochs } : { steps }),
    ...(maxSteps && { maxSteps }),
    ...(accumulate !== undefined && accumulate > 1 && { accumulate }),
    ...(schedule !== undefined && schedule !== 'cosine' && { schedule }),
    ...(warmupSteps && { warmupSteps }),
  };
}

export function scheduleOf(pace: Pace, { perEpoch, warmup }: Pacing): Schedule {
  const { learningRate: peak, epochs, steps = 0, maxSteps, accumulate, schedule, warmupSteps } = pace;
  const whole = Math.max(1, epochs ? Math.ceil((perEpoch * epochs) / (accumulate || 1)) : steps);
  const totalSteps = maxSteps ? Math.min(whole, maxSteps) : whole;
  return {
    kind: schedule ?? 'cosine',
    peak,
    warmupSteps: warmupSteps || warmup(totalSteps),
    totalSteps,
  };
}

/** The schedule that a run was begun with, from its settings. All else must be as in `pace`. */
export function scheduleBefore(settings: RunState['settings'], pace: Pace, pacing: Pacing): Schedule {
  const { epochs, steps, maxSteps } = Extent.parse(settings);
  return scheduleOf({ ...pace, epochs, steps, maxSteps }, pacing);
}

/** Throws unless all steps made so far would have had the same learning rates under `now`. */
export function assertExtendable(
  dir: string,
  { step }: Pick<RunState, 'step'>,
  { before, now }: { before: Schedule; now: Schedule },
): void {
  if (step > now.totalSteps) {
    throw new Error(
      `${dir} has made ${step} steps already, and ${now.totalSteps} are wanted now: give at least as many, or train anew in another folder`,
    );
  }
  for (let at = 1; at <= step; at++) {
    if (learningRateAt(at, before) === learningRateAt(at, now)) continue;
    throw new Error(
      `${dir} was begun as a run of ${before.totalSteps} steps and cannot become one of ${now.totalSteps}: ` +
        `the learning rate of step ${at} would have been ${show(learningRateAt(at, now))}, not ${show(learningRateAt(at, before))}. ` +
        'Give the old length, or train anew in another folder. ' +
        'Only runs with --schedule constant and --warmup-steps can be made longer.',
    );
  }
}

const show = (rate: number) => rate.toPrecision(3);

/** Beyond these, LoRA and whole models alike learn nothing or break. */
const USUAL_RATES = [1e-7, 0.03] as const;

/** A warning about a learning rate that is most likely a slip. Null if it is a usual one. */
export function rateWarning(rate: number): string | null {
  const [least, most] = USUAL_RATES;
  if (rate > most) return `the learning rate ${rate} is far above the usual (up to ${most}): expect babble or NaN`;
  return rate < least ? `the learning rate ${rate} is far below the usual (from ${least}): expect no change` : null;
}
