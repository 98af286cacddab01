/** What a run of the engine's bench leaves in a file, for the tables and plots of the docs. */
import { readFile, writeFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import path from 'node:path';
import * as z from 'zod';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import { type Figure, RowResult, reached } from './row.ts';

const Results = z.strictObject({
  machine: z.strictObject({ cpu: z.string(), cores: z.int(), memoryGiB: z.number(), node: z.string() }),
  /** By the model's name, then by row. */
  models: z.record(
    z.string(),
    z.record(
      z.string(),
      z.strictObject({ at: z.iso.datetime(), rounds: z.int(), seconds: z.number(), result: RowResult }),
    ),
  ),
});
export type Results = z.infer<typeof Results>;
export type RunRow = Results['models'][string][string];

export async function readResults(file: string): Promise<Results> {
  const parsed = Results.safeParse(JSON.parse(await readFile(file, 'utf8')));
  if (parsed.success) return parsed.data;
  throw new Error(`${file}: found other than what the engine's bench writes: ${z.prettifyError(parsed.error)}`);
}

/** Puts rows into the file and keeps the others that are there: a row can be run again alone. */
export async function addResults(file: string, model: string, rows: Readonly<Record<string, RunRow>>): Promise<void> {
  const there = await readResults(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  const machine = {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
  };
  const models = { ...there?.models, [model]: { ...there?.models[model], ...rows } };
  makeFolder(path.dirname(path.resolve(file)));
  await writeFile(file, `${JSON.stringify({ machine, models } satisfies Results)}\n`);
}

/** A figure with what was expected and what is to be reached, in aligned columns. */
export function figureLines(figures: readonly Figure[]): string[] {
  const title = ({ name, against }: Figure) => `${name} / ${against}`;
  const width = Math.max(...figures.map((figure) => title(figure).length));
  return [
    `${'figure'.padEnd(width)}   ratio   expected      reach`,
    ...figures.map((figure) => {
      const { ratio, expected, reach, better } = figure;
      const wanted = reach === null ? '-' : `${better === 'lower' ? '<=' : '>='} ${reach}`;
      const met = reached(figure);
      const verdict = met === null ? '' : met ? 'reached' : 'missed';
      const columns = [ratio.toFixed(2).padStart(7), expected.padStart(10), wanted.padStart(10), verdict];
      return `${title(figure).padEnd(width)} ${columns.join(' ')}`;
    }),
  ];
}
