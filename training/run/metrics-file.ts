/**
 * A run's figures, one JSON object a line: `metrics.jsonl` with one row for every step and one for
 * every evaluation, `samples.jsonl` with its sample answers.
 */
import { existsSync, readFileSync } from 'node:fs';
import { replaceFile } from './write-file.ts';

export type MetricsRow = { step: number } & Record<string, number>;

export const METRICS_FILE = 'metrics.jsonl';
export const SAMPLES_FILE = 'samples.jsonl';

/** The evaluation with the lowest held-out loss, the earliest if there are several. */
export function bestEvaluation(rows: readonly MetricsRow[]): MetricsRow | null {
  let best: MetricsRow | null = null;
  for (const row of rows) {
    if (row.heldOutLoss === undefined || !Number.isFinite(row.heldOutLoss)) continue;
    if (best === null || row.heldOutLoss < best.heldOutLoss!) best = row;
  }
  return best;
}

/** Reads the rows of a file, which may be missing. Leaves out a line that a kill has cut off. */
export function readRows<Row extends { step: number } = MetricsRow>(file: string): Row[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter(Boolean)
    .flatMap((line) => {
      try {
        // We write these lines ourselves.
        return [JSON.parse(line) as Row];
      } catch {
        return [];
      }
    });
}

/** Drops the rows of steps after the last checkpoint, because these steps will run again. */
export function keepRowsUntil(file: string, step: number): void {
  if (!existsSync(file)) return;
  const kept = readRows<{ step: number }>(file).filter((row) => row.step <= step);
  const text = kept.map((row) => `${JSON.stringify(row)}\n`).join('');
  if (text !== readFileSync(file, 'utf8')) replaceFile(file, text);
}
