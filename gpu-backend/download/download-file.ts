/**
 * Downloads one file from the hub, whole or not at all. The bytes go to `<file>.part`. A broken
 * download resumes where it stopped, in this run or the next, and loses only the bytes in transit.
 * The file gets its real name only when its size and checksum match the hub's list.
 * `<file>.part.json` records which content the part belongs to, and the ETag. With the ETag the
 * server can tell whether the part is still current (RFC 9110, section 13.1.5).
 */
import { open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { makeFolder } from '../model/make-folder.ts';
import { Checksum, checksumOf, hexOf } from './checksum.ts';
import type { Hub, RemoteFile } from './hub.ts';
import { type Retrying, TransientError, withRetries } from './retry.ts';

const PartRecord = z.strictObject({ checksum: Checksum, etag: z.string().nullable() });
type PartRecord = z.infer<typeof PartRecord>;

export type Source = { hub: Hub; repo: string; commit: string };

/**
 * `onBytes` gets the number of bytes on disk, at the start and as they arrive. Throws if the hub
 * refuses, if the size or checksum differs from the hub's list (and then deletes the part), or if
 * the disk is full.
 */
export async function downloadFile(
  file: RemoteFile,
  { hub, repo, commit }: Source,
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
    const { response, hubEtag } = await hub.open(
      repo,
      commit,
      file.path,
      have === 0 ? {} : rangeFrom(have, known?.etag),
    );
    try {
      if (response.status === 416) {
        await discard();
        throw new TransientError(`${file.path}: the server does not have the rest of what was downloaded`);
      }
      checkPromise(file, hubEtag);
      if (response.status === 206) checkRange(response.headers.get('content-range'), have, file);
      await writeFile(record, JSON.stringify({ checksum: file.checksum, etag: response.headers.get('etag') }));
      await append(part, response, { from: response.status === 206 ? have : 0, file, onBytes });
    } catch (error) {
      // Release the connection if we did not read the body to its end.
      await response.body?.cancel().catch(() => {});
      throw error;
    }
  }, retrying);

  const found = await checksumOf(part, file.checksum);
  if (hexOf(found) !== hexOf(file.checksum)) {
    await discard();
    throw new Error(
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
  { from, file, onBytes }: { from: number; file: RemoteFile; onBytes: (bytes: number) => void },
): Promise<void> {
  if (response.body === null) throw new TransientError(`${file.path}: the answer has no body`);
  let have = from;
  const out = await open(part, from === 0 ? 'w' : 'a');
  try {
    for await (const chunk of untilCut(response.body, file.path, () => have > from)) {
      have += chunk.length;
      if (have > file.size) throw new Error(`${file.path}: longer than the ${file.size} bytes of the hub's list`);
      await out.writeFile(chunk);
      onBytes(have);
    }
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
async function* untilCut(body: ReadableStream<Uint8Array>, name: string, progressed: () => boolean) {
  try {
    yield* body;
  } catch (cause) {
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
