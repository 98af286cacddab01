/** What a run's `metrics.jsonl` says at the end. */
import { statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';

/** By name. A figure that the run never wrote is absent. */
export type LastFigures = Record<string, number | undefined>;

/** The loss of one step is noise. The mean over this many steps shows where training stood. */
const LOSS_STEPS = 50;

/** A run that was stopped before its first step has a metrics file with nothing in it. */
export function hasFigures(dir: string): boolean {
  return (statSync(path.join(dir, 'metrics.jsonl'), { throwIfNoEntry: false })?.size ?? 0) > 0;
}

/**
 * The last value of every figure, except `loss`, which is the mean of its last fifty. Throws if
 * there are no metrics.
 */
export async function lastFigures(dir: string): Promise<LastFigures> {
  const lines = (await readFile(path.join(dir, 'metrics.jsonl'), 'utf8')).trim().split('\n');
  const rows = lines.map((line) => JSON.parse(line) as Record<string, number>);
  const losses = rows.flatMap(({ loss }) => (loss === undefined ? [] : [loss])).slice(-LOSS_STEPS);
  return { ...Object.assign({}, ...rows), loss: losses.reduce((a, b) => a + b, 0) / losses.length };
}
