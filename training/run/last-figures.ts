/** Reads the last figures from a run's `metrics.jsonl`. */
import { statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';

/** Figures by name. A figure that the run never wrote is absent. */
export type LastFigures = Record<string, number | undefined>;

/**
 * The loss of a single step is noisy. The mean over this many steps shows the state of training.
 */
const LOSS_STEPS = 50;

/** False for a run that stopped before its first step, which leaves an empty metrics file. */
export function hasFigures(dir: string): boolean {
  return (statSync(path.join(dir, 'metrics.jsonl'), { throwIfNoEntry: false })?.size ?? 0) > 0;
}

/**
 * Returns the last value of every figure, but for `loss` the mean of its last fifty values. Throws
 * if there are no metrics.
 */
export async function lastFigures(dir: string): Promise<LastFigures> {
  const lines = (await readFile(path.join(dir, 'metrics.jsonl'), 'utf8')).trim().split('\n');
  const rows = lines.map((line) => JSON.parse(line) as Record<string, number>);
  const losses = rows.flatMap(({ loss }) => (loss === undefined ? [] : [loss])).slice(-LOSS_STEPS);
  return { ...Object.assign({}, ...rows), loss: losses.reduce((a, b) => a + b, 0) / losses.length };
}
