/**
 * Downloads one file, whole or not at all. The bytes go to `<file>.part`. A broken
 * download resumes where it stopped, in this run or the next, and loses only the bytes in transit.
 * The file gets its real name only when its size and checksum are what they should be.
 * `<file>.part.json` records which content the part belongs to, and the ETag. With the ETag the
 * server can tell whether the part is still current (RFC 9110, section 13.1.5).
 */
import { open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { Checksum, checksumOf, hexOf, WrongBytes } from '../model/checksum.ts';
import { makeFolder } from '../model/make-folder.ts';
import { type Retrying, TransientError, withRetries } from './retry.ts';

const PartRecord = z.strictObject({ checksum: Checksum, etag: z.string().nullable() });
type PartRecord = z.infer<typeof PartRecord>;

/** A file that we know before we have it: from a hub's list, or from a table. */
export type RemoteFile = { path: string; size: number; checksum: Checksum };

/** Shows how one file comes. `onBytes` gets the number of bytes on disk so far. */
export type WatchFile = (file: { path: string; size: number }) => {
  onBytes: (bytes: number) => void;
  done: () => void;
};

/**
 * An answer with the file's bytes. `statedEtag` is the ETag from a hub itself, even if the bytes
 * come from a storage server with ETags of its own. Null if the server is no hub.
 */
export type OpenedFile = { response: Response; statedEtag: string | null };

/**
 * `request` makes one attempt, with these headers. A temporary failure throws a `TransientError`.
 * `onBytes` gets the number of bytes on disk, at the start and as they arrive. Throws if the server
 * refuses, if the size or checksum is wrong (and then deletes the part), or if the disk is full.
 * When the signal of `retrying` aborts, throws its reason and keeps the part.
 */
export async function downloadFile(
  file: RemoteFile,
  request: (headers: Record<string, string>) => Promise<OpenedFile>,
  { target, onBytes, retrying }: { target: string; onBytes: (bytes: number) => void; retrying: Retrying },
): Promise<void> {
  if (await isWhole(target, file)) {
    onBytes(file.size);
    return;
  }
  const part = `${target}.part`;
  const record = `${part}.json`;
  makeFolder(path.dirname(target));
  const discard = async () => {
    await rm(part, { force: true });
    await rm(record, { force: true });
  };

  await withRetries(async () => {
    let known = await readRecord(record);
    let have = known && hexOf(known.checksum) === hexOf(file.checksum) ? ((await sizeOf(part)) ?? 0) : 0;
    if (have === 0 || have > file.size) {
      await discard();
      [known, have] = [null, 0];
    }
    onBytes(have);
    if (known !== null && have === file.size) return;
    const { response, statedEtag } = await request(have === 0 ? {} : rangeFrom(have, known?.etag));
    try {
      if (response.status === 416) {
        await discard();
        throw new TransientError(`${file.path}: the server does not have the rest of what was downloaded`);
      }
      checkPromise(file, statedEtag);
      if (response.status === 206) checkRange(response.headers.get('content-range'), have, file);
      else checkLength(response.headers, file);
      await writeFile(record, JSON.stringify({ checksum: file.checksum, etag: response.headers.get('etag') }));
      await append(part, response, {
        from: response.status === 206 ? have : 0,
        file,
        onBytes,
        signal: retrying.signal,
      });
    } catch (error) {
      // Release the connection if we did not read the body to its end.
      await response.body?.cancel().catch(() => {});
      throw error;
    }
  }, retrying);

  const found = await checksumOf(part, file.checksum, retrying.signal);
  if (hexOf(found) !== hexOf(file.checksum)) {
    await discard();
    throw new WrongBytes(
      `${file.path}: wrong checksum: ${hexOf(found)} instead of ${hexOf(file.checksum)}; what was downloaded is deleted`,
    );
  }
  await rename(part, target);
  await rm(record, { force: true });
}

export async function isWhole(target: string, { size, checksum }: Omit<RemoteFile, 'path'>): Promise<boolean> {
  if ((await sizeOf(target)) !== size) return false;
  return hexOf(await checksumOf(target, checksum)) === hexOf(checksum);
}

/**
 * A weak or missing ETag does not guarantee the same bytes. Then we send only the range, and the
 * checksum decides.
 */
function rangeFrom(have: number, etag: string | null | undefined): Record<string, string> {
  const condition = etag && !etag.startsWith('W/') ? { 'if-range': etag } : {};
  return { range: `bytes=${have}-`, ...condition };
}

async function append(
  part: string,
  response: Response,
  {
    from,
    file,
    onBytes,
    signal,
  }: { from: number; file: RemoteFile; onBytes: (bytes: number) => void; signal: AbortSignal | undefined },
): Promise<void> {
  if (response.body === null) throw new TransientError(`${file.path}: the answer has no body`);
  let have = from;
  const out = await open(part, from === 0 ? 'w' : 'a');
  try {
    for await (const chunk of untilCut(response.body, file.path, { progressed: () => have > from, signal })) {
      have += chunk.length;
      if (have > file.size) throw new Error(`${file.path}: longer than the ${file.size} bytes that it should have`);
      await out.writeFile(chunk).catch((cause: Error) => {
        throw new Error(`${part} cannot be written: ${cause.message}`, { cause });
      });
      onBytes(have);
    }
    // Else a power cut could leave a file with its real name and without its bytes.
    await out.sync();
  } finally {
    await out.close();
  }
  if (have < file.size) {
    throw new TransientError(`${file.path}: it ended after ${have} of ${file.size} bytes`, { progressed: have > from });
  }
}

/**
 * A cut connection is worth another attempt, but a full disk is not. So this marks only network
 * errors as worth retrying.
 */
async function* untilCut(
  body: ReadableStream<Uint8Array>,
  name: string,
  { progressed, signal }: { progressed: () => boolean; signal: AbortSignal | undefined },
) {
  try {
    yield* body;
  } catch (cause) {
    signal?.throwIfAborted();
    throw new TransientError(`${name}: the connection broke off`, { progressed: progressed(), cause });
  }
}

/**
 * The hub states a file's checksum twice: in its list and with the file. If they differ, one of
 * them belongs to another file.
 */
function checkPromise({ path, checksum }: RemoteFile, etag: string | null): void {
  const said = /^(?:W\/)?"?([0-9a-f]{40}|[0-9a-f]{64})"?$/.exec(etag ?? '')?.[1];
  if (said !== undefined && said.length === hexOf(checksum).length && said !== hexOf(checksum)) {
    throw new Error(`${path}: the hub's list says ${hexOf(checksum)}, the hub's file ${said}`);
  }
}

function checkRange(header: string | null, have: number, { path, size }: RemoteFile): void {
  const [, start, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(header ?? '') ?? [];
  if (Number(start) !== have || (total !== '*' && Number(total) !== size)) {
    throw new Error(`${path}: asked for the bytes from ${have} of ${size}, the server sends "${header}"`);
  }
}

/** Without this, every byte of a file that is too short would come six times. */
function checkLength(headers: Headers, { path, size }: RemoteFile): void {
  const length = headers.get('content-length');
  if (length === null || headers.has('content-encoding') || Number(length) === size) return;
  throw new WrongBytes(`${path}: the server has ${length} bytes, wanted ${size}`);
}

async function readRecord(file: string): Promise<PartRecord | null> {
  try {
    return PartRecord.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch {
    // The record is missing, or a killed run left it half written. So we do not know what the part
    // holds.
    return null;
  }
}

async function sizeOf(file: string): Promise<number | null> {
  const found = await stat(file).catch(() => null);
  return found?.size ?? null;
}
