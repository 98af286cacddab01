/**
 * The hub's two kinds of checksum. Files in large-file storage have the SHA-256 of their bytes.
 * Files in the repository itself have Git's blob id: the SHA-1 of "blob SIZE\0" and the bytes.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import * as z from 'zod';

export const Sha256Sum = z.strictObject({ sha256: z.string().regex(/^[0-9a-f]{64}$/) });
export const GitBlobSum = z.strictObject({ gitSha1: z.string().regex(/^[0-9a-f]{40}$/) });
export const Checksum = z.union([Sha256Sum, GitBlobSum]);
export type Checksum = z.infer<typeof Checksum>;

/** A source has other bytes than it should. The message has both checksums or both sizes. */
export class WrongBytes extends Error {
  override readonly name = 'WrongBytes';
}

/**
 * Computes the checksum of the file on disk, of the same kind as `like`. When `signal` aborts,
 * throws its reason.
 */
export async function checksumOf(file: string, like: Checksum, signal?: AbortSignal): Promise<Checksum> {
  const hash = createHash('sha256' in like ? 'sha256' : 'sha1');
  if ('gitSha1' in like) hash.update(`blob ${(await stat(file)).size}\0`);
  await pipeline(createReadStream(file), hash, { signal }).catch((error: unknown) => {
    signal?.throwIfAborted();
    throw error;
  });
  const hex = hash.digest('hex');
  return 'sha256' in like ? { sha256: hex } : { gitSha1: hex };
}

export function hexOf(checksum: Checksum): string {
  return 'sha256' in checksum ? checksum.sha256 : checksum.gitSha1;
}
