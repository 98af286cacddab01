/**
 * How far a fuzz has come, by its seed, so that a run which was stopped goes on where it was. Cases
 * come in blocks, each with a seed of its own. A block that failed is not done: the next run with
 * the same seed begins with it.
 */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';

const Progress = z.strictObject({
  /** By kind: the blocks that held, their cases, and how often each outcome came. */
  kinds: z.record(
    z.string(),
    z.strictObject({ blocks: z.int(), cases: z.int(), outcomes: z.record(z.string(), z.int()) }),
  ),
});
type Progress = z.infer<typeof Progress>;
type KindProgress = Progress['kinds'][string];

export type ProgressFile = {
  of(kind: string): KindProgress;
  /** Another block has held. */
  add(kind: string, block: { cases: number; outcomes: Record<string, number> }): Promise<void>;
};

/** Opens the progress of a seed; there is none yet if the file is not there. */
export async function openProgress(dir: string, seed: number): Promise<ProgressFile> {
  const file = path.join(dir, `fuzz-${seed}.json`);
  const { kinds } = await read(file);
  const of = (kind: string): KindProgress => kinds[kind] ?? { blocks: 0, cases: 0, outcomes: {} };
  return {
    of,
    async add(kind, { cases, outcomes }) {
      const before = of(kind);
      const sums = { ...before.outcomes };
      for (const [outcome, times] of Object.entries(outcomes)) sums[outcome] = (sums[outcome] ?? 0) + times;
      kinds[kind] = { blocks: before.blocks + 1, cases: before.cases + cases, outcomes: sums };
      makeFolder(dir);
      await writeFile(file, JSON.stringify({ kinds } satisfies Progress));
    },
  };
}

async function read(file: string): Promise<Progress> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (text === null) return { kinds: {} };
  const read = Progress.safeParse(parseJson(text));
  if (read.success) return read.data;
  throw new Error(`${file} is not the progress of a fuzz. Delete it, and the run begins anew.`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
