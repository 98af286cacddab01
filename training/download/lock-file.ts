/**
 * `dataset.lock.json`: which files of which commit a folder holds, so that a run can name its data
 * and a reader can get the same data.
 */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { GitBlobSum, Sha256Sum } from '#gpu-backend/model/checksum.ts';

export const LOCK_FILE = 'dataset.lock.json';

const common = { path: z.string(), size: z.number().int().nonnegative() };
const FileEntry = z.union([
  z.strictObject({ ...common, ...Sha256Sum.shape }),
  z.strictObject({ ...common, ...GitBlobSum.shape }),
]);
export const DatasetLock = z.strictObject({
  repo: z.string(),
  /** The requested revision. `commit` is the commit it pointed to at the time. */
  revision: z.string(),
  commit: z.string(),
  layout: z.string(),
  licence: z.string(),
  files: z.array(FileEntry).min(1),
});
export type DatasetLock = z.infer<typeof DatasetLock>;

/**
 * Returns null if there is no lock file. An unreadable one is an error, because ignoring it would
 * lose the pinned commit.
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
