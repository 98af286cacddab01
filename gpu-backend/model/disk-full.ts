import { statfs } from 'node:fs/promises';
import { BundleError } from './bundle-error.ts';

/** Node's codes for a write that there is no room for. */
const CODES: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: "the user's quota is full",
  EFBIG: 'the file is larger than the file system or a limit allows',
};

/** The bytes that a user may still write to the file system of `path`; null if it does not say. */
export async function freeBytes(path: string): Promise<number | null> {
  return statfs(path).then(
    ({ bavail, bsize }) => bavail * bsize,
    () => null,
  );
}

/**
 * What to throw if a write failed for want of room; undefined if it failed for another reason.
 * `bytes` is what still had to be written to `file`, and `path` lies on its disk.
 */
export async function diskFull(
  cause: unknown,
  { file, path, bytes }: { file: string; path: string; bytes: number },
): Promise<BundleError | undefined> {
  // Node's errors have a code. Others have none, and are not about the disk.
  const { code } = cause as NodeJS.ErrnoException;
  const what = CODES[code ?? ''];
  if (what === undefined) return undefined;
  const free = await freeBytes(path);
  const found = free === null ? '' : `found ${count(free)} bytes free, `;
  return new BundleError(file, `${what} (${code}): ${found}wanted ${count(bytes)} more`, { cause });
}

/** Throws if there is no room for `bytes` more, before anything is written. */
export async function assertRoom({ file, path, bytes }: { file: string; path: string; bytes: number }): Promise<void> {
  const free = await freeBytes(path);
  if (free === null || free >= bytes) return;
  throw new BundleError(file, `the disk is too full: found ${count(free)} bytes free, wanted ${count(bytes)} more`);
}

const count = (bytes: number) => bytes.toLocaleString('en-US');
