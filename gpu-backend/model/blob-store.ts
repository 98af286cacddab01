/**
 * The cache's whole files, each named by its SHA-256: GGUF files, and weights that bundles share.
 * Beside a file lies a record of its size and time, so that it need not be hashed at every start.
 * Where they differ, the file is hashed again.
 */
import { createHash } from 'node:crypto';
import { copyFile, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import type { CacheFolder } from './cache-folder.ts';
import { CacheError, type Waiting, withCacheLock } from './cache-lock.ts';
import { checksumOf, hexOf, WrongBytes } from './checksum.ts';
import { freeBytes } from './disk-full.ts';
import { makeFolder } from './make-folder.ts';

export type BlobId = { sha256: string; bytes: number };

const BlobRecord = z.strictObject({ bytes: z.number(), modifiedMs: z.number() });

/** The path of the file with this SHA-256, whether it is there or not. */
export function blobFile(cache: CacheFolder, sha256: string): string {
  return path.join(cache.blobs, sha256);
}

/** Returns the verified file, or says why there is none. Writes nothing but the record. */
export async function findBlob(
  cache: CacheFolder,
  { sha256, bytes }: BlobId,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<{ file: string } | { missing: string }> {
  const file = blobFile(cache, sha256);
  const found = await stat(file).catch(() => null);
  if (found === null) return { missing: `${file}: no such file` };
  if (found.size !== bytes) return { missing: `${file}: found ${found.size} bytes, wanted ${bytes}` };
  const recorded = await readRecord(file);
  if (recorded?.bytes === found.size && recorded.modifiedMs === found.mtimeMs) return { file };
  const digest = hexOf(await checksumOf(file, { sha256 }, signal));
  if (digest !== sha256) return { missing: `${file}: found SHA-256 ${digest}, wanted ${sha256}` };
  await record(file);
  return { file };
}

/**
 * Returns the verified file. If it is missing or damaged, `fill` must write it to the given path,
 * whole and verified or not at all. Only one process at a time fills a file. The others wait, then
 * find it. Throws a `CacheError` if the folder cannot be written or has no `room`, in bytes.
 */
export async function ensureBlob(
  cache: CacheFolder,
  id: BlobId,
  fill: (file: string) => Promise<void>,
  { room = id.bytes, ...waiting }: Waiting & { room?: number } = {},
): Promise<string> {
  const early = await findBlob(cache, id, waiting);
  if ('file' in early) return early.file;
  const work = async () => {
    const late = await findBlob(cache, id, waiting);
    if ('file' in late) return late.file;
    makeFolder(cache.blobs);
    await assertRoomInCache(cache.blobs, room);
    const file = blobFile(cache, id.sha256);
    await fill(file);
    await record(file);
    return file;
  };
  return withCacheLock(cache, id.sha256, work, waiting);
}

/**
 * Moves a finished file into the store, and says what it is. If the store has it, the file is just
 * removed. Throws a `CacheError` as `ensureBlob` does.
 */
export async function moveToStore(cache: CacheFolder, from: string, waiting: Waiting = {}): Promise<BlobId> {
  const { size: bytes } = await stat(from);
  const sha256 = hexOf(await checksumOf(from, { sha256: '' }, waiting.signal));
  const move = (file: string) =>
    rename(from, file).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EXDEV') throw error;
      // The store is on another disk.
      await assertRoomInCache(cache.blobs, bytes);
      await copyFile(from, `${file}.new`);
      await rename(`${file}.new`, file);
    });
  await ensureBlob(cache, { sha256, bytes }, move, { ...waiting, room: 0 });
  await rm(from, { force: true });
  return { sha256, bytes };
}

/**
 * Writes a stream to `file`, whole or not at all. `source` names it in errors. `onBytes` gets the
 * number of bytes written so far. When `signal` aborts, throws its reason.
 */
export async function writeVerified(
  file: string,
  stream: AsyncIterable<Uint8Array>,
  { sha256, bytes }: BlobId,
  { source, onBytes, signal }: { source: string; onBytes: (bytes: number) => void; signal?: AbortSignal | undefined },
): Promise<void> {
  const building = `${file}.new`;
  const hash = createHash('sha256');
  let written = 0;
  try {
    const out = await open(building, 'w');
    try {
      for await (const part of stream) {
        signal?.throwIfAborted();
        written += part.length;
        if (written > bytes) throw new WrongBytes(`${source}: found more than ${bytes} bytes, wanted ${bytes}`);
        hash.update(part);
        await out.writeFile(part).catch((cause: Error) => {
          throw new CacheError(`${building} cannot be written: ${cause.message}`, { cause });
        });
        onBytes(written);
      }
      await out.sync();
    } finally {
      await out.close();
    }
    if (written !== bytes) throw new WrongBytes(`${source}: found ${written} bytes, wanted ${bytes}`);
    const found = hash.digest('hex');
    if (found !== sha256) throw new WrongBytes(`${source}: found SHA-256 ${found}, wanted ${sha256}`);
    await rename(building, file);
  } catch (error) {
    await rm(building, { force: true });
    throw error;
  }
}

/** Throws a `CacheError` if the disk of `dir`, a folder of the cache, has no room for the bytes. */
export async function assertRoomInCache(dir: string, bytes: number): Promise<void> {
  const free = await freeBytes(dir);
  if (free === null || free >= bytes) return;
  const megabytes = (count: number) => (count / 1e6).toFixed(1);
  throw new CacheError(
    `the disk of ${dir} is full: found ${megabytes(free)} MB free, wanted ${megabytes(bytes)} MB; ` +
      'PLIMSOLL_CACHE may name another folder',
  );
}

const recordOf = (file: string) => `${file}.json`;

async function record(file: string): Promise<void> {
  const { size, mtimeMs } = await stat(file);
  // A cache that others made may be read-only. Then the file is hashed each time.
  await writeFile(recordOf(file), JSON.stringify({ bytes: size, modifiedMs: mtimeMs })).catch(() => {});
}

async function readRecord(file: string): Promise<z.infer<typeof BlobRecord> | null> {
  try {
    return BlobRecord.parse(JSON.parse(await readFile(recordOf(file), 'utf8')));
  } catch {
    // It is missing, or was being written when a process died. Hashing the file tells as much.
    return null;
  }
}
