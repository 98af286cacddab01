/**
 * Downloads a known data set into a folder: resolves the commit, lists its files, writes the lock
 * file and downloads the wanted files. If there is a lock file, we use its commit, and a complete
 * folder costs no request.
 */
import path from 'node:path';
import { downloadFile, isWhole, type RemoteFile, type WatchFile } from '#gpu-backend/download/download-file.ts';
import type { Hub } from '#gpu-backend/download/hub.ts';
import { placeOf } from '#gpu-backend/download/place-of.ts';
import type { Retrying } from '#gpu-backend/download/retry.ts';
import { hexOf } from '#gpu-backend/model/checksum.ts';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import type { KnownDataset } from './known-datasets.ts';
import { type DatasetLock, readLock, writeLock } from './lock-file.ts';

export type DownloadOptions = {
  hub: Hub;
  dir: string;
  /** Resolve the revision again, even if the lock file has a commit for it. */
  update: boolean;
  retrying: Retrying;
  onFile: WatchFile;
};

export async function downloadDataset(dataset: KnownDataset, options: DownloadOptions): Promise<DatasetLock> {
  const { hub, dir, update, retrying, onFile } = options;
  const { repo, revision, layout, licence } = dataset;
  const found = await readLock(dir);
  // A lock file with another revision comes from an earlier version of the table.
  const lock = found?.repo === repo && found.revision === revision && !update ? found : null;
  if (lock !== null && (await isComplete(dir, lock, dataset))) return lock;

  const commit = lock?.commit ?? (await hub.commitOf(repo, revision));
  if (/^[0-9a-f]{40}$/.test(revision) && commit !== revision) {
    throw new Error(`${repo}: the hub answers with commit ${commit} where ${revision} was asked for`);
  }
  const all = await hub.filesOf(repo, commit);
  for (const entry of lock?.files ?? []) checkAgainstLock(entry, all, repo);
  const files = wantedFiles(dataset, all);
  const entries = files.map(({ path, size, checksum }) => ({ path, size, ...checksum }));
  const written: DatasetLock = { repo, revision, commit, layout, licence, files: entries };
  makeFolder(dir);
  // We write the lock file before the files: after a broken run, the next one must use the same
  // commit.
  await writeLock(dir, written);
  for (const file of files) {
    const target = placeOf(dir, file.path);
    const { onBytes, done } = onFile(file);
    try {
      const request = (headers: Record<string, string>) => hub.open(repo, commit, file.path, headers);
      await downloadFile(file, request, { target, onBytes, retrying });
    } finally {
      done();
    }
  }
  return written;
}

/** Returns the paths that match one of the patterns, in their given order. */
export function matching(paths: readonly string[], patterns: readonly string[]): string[] {
  return paths.filter((each) => patterns.some((pattern) => path.posix.matchesGlob(each, pattern)));
}

function wantedFiles({ repo, files: { train, test } }: KnownDataset, all: readonly RemoteFile[]): RemoteFile[] {
  const paths = all.map((file) => file.path);
  for (const pattern of [...train, ...test]) {
    if (matching(paths, [pattern]).length > 0) continue;
    const some = paths.slice(0, 20).join(', ');
    throw new Error(`${repo}: no file is called ${pattern}; there are ${paths.length === 0 ? 'none at all' : some}`);
  }
  const wanted = new Set(matching(paths, [...train, ...test]));
  return all.filter((file) => wanted.has(file.path));
}

async function isComplete(dir: string, lock: DatasetLock, { files }: KnownDataset): Promise<boolean> {
  const paths = lock.files.map((entry) => entry.path);
  // The table may need more files now than when the lock file was written.
  if ([...files.train, ...files.test].some((pattern) => matching(paths, [pattern]).length === 0)) return false;
  for (const entry of lock.files) {
    if (!(await isWhole(placeOf(dir, entry.path), { size: entry.size, checksum: entry }))) return false;
  }
  return true;
}

/** A commit never changes, so a list that changed is an error. */
function checkAgainstLock(entry: DatasetLock['files'][number], files: readonly RemoteFile[], repo: string): void {
  const now = files.find((file) => file.path === entry.path);
  if (now && now.size === entry.size && hexOf(now.checksum) === hexOf(entry)) return;
  throw new Error(
    `${repo}: ${entry.path} is not what dataset.lock.json says of the same commit; --update takes what the hub has now`,
  );
}
