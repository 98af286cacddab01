/**
 * `dataset.lock.json`: which files of which commit a folder holds, so that a run can name its data
 * and a reader can get the same.
 */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { GitBlobSum, Sha256Sum } from './checksum.ts';

export const LOCK_FILE = 'dataset.lock.json';

const common = { path: z.string(), size: z.number().int().nonnegative() };
const FileEntry = z.union([
  z.strictObject({ ...common, ...Sha256Sum.shape }),
  z.strictObject({ ...common, ...GitBlobSum.shape }),
]);
export const DatasetLock = z.strictObject({
  repo: z.string(),
  /** The revision as asked for. `commit` is what it was at the time. */
  revision: z.string(),
  commit: z.string(),
  layout: z.string(),
  licence: z.string(),
  files: z.array(FileEntry).min(1),
});
export type DatasetLock = z.infer<typeof DatasetLock>;

/**
 * Null if there is none. One that cannot be read is an error: ignoring it would lose what is
 * pinned.
 */
export async function readLock(dir: string): Promise<DatasetLock | null> {
  const file = path.join(dir, LOCK_FILE);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  try {
    return DatasetLock.parse(JSON.parse(text));
  } catch (cause) {
    const fault = cause instanceof z.ZodError ? z.prettifyError(cause).replaceAll('\n', ' ') : (cause as Error).message;
    throw new Error(`${file}: ${fault}; delete it to fetch the data set anew`, { cause });
  }
}

export async function writeLock(dir: string, lock: DatasetLock): Promise<void> {
  await writeFile(path.join(dir, LOCK_FILE), `${JSON.stringify(lock, null, 2)}\n`);
}
