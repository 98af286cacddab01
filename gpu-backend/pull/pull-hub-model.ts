/**
 * Fetches a checkpoint or an adapter from a hub into `hub/<owner>/<repository>/<commit>` of the
 * cache. Each file is checked against the hub's own checksum. The folder is built beside its place
 * and gets its name when it is whole, so an interrupted pull goes on where it stopped.
 */
import { readdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { downloadFile, isWhole, type RemoteFile, type WatchFile } from '../download/download-file.ts';
import type { Hub } from '../download/hub.ts';
import { placeOf } from '../download/place-of.ts';
import type { Retrying } from '../download/retry.ts';
import { assertRoomInCache } from '../model/blob-store.ts';
import type { CacheFolder } from '../model/cache-folder.ts';
import { withCacheLock } from '../model/cache-lock.ts';
import { makeFolder } from '../model/make-folder.ts';
import { modelFiles, shardFiles, WEIGHTS_INDEX } from './hub-model-files.ts';
import { type HubModelLock, readHubLock, writeHubLock } from './hub-model-lock.ts';

export type HubModelName = { repo: string; revision: string };

export type HubPullOptions = {
  cache: CacheFolder;
  /** A hub of models. */
  hub: Hub;
  /** Its signal ends all of it. */
  retrying: Retrying;
  onFile: WatchFile;
};

export type PulledFromHub = { dir: string; lock: HubModelLock };

const COMMIT = /^[0-9a-f]{40}$/;

/** Reads `hub:<owner>/<repository>@<revision>`. Returns null if `name` is of another kind. */
export function parseHubName(name: string): HubModelName | null {
  if (!name.startsWith('hub:')) return null;
  const [, repo, revision] = /^hub:([\w.-]+\/[\w.-]+)@(.+)$/.exec(name) ?? [];
  // A dot alone would lead out of the cache.
  if (repo === undefined || revision === undefined || repo.split('/').some((part) => /^\.+$/.test(part))) {
    throw new Error(`"${name}": wanted hub:<owner>/<repository>@<revision>; @main is the newest revision`);
  }
  return { repo, revision };
}

/**
 * Returns the folder with its files verified. A commit that the cache has costs no request. A
 * branch or a tag is asked for each time. When the signal aborts, throws its reason.
 */
export async function pullHubModel({ repo, revision }: HubModelName, options: HubPullOptions): Promise<PulledFromHub> {
  const { cache, hub, retrying } = options;
  const { signal } = retrying;
  const parent = path.join(cache.hub, ...repo.split('/'));
  if (COMMIT.test(revision)) {
    const dir = path.join(parent, revision);
    const lock = await wholeFolder(dir, revision, repo);
    if (lock !== null) return { dir, lock };
  }
  const commit = await hub.commitOf(repo, revision).catch(async (cause: Error) => {
    signal?.throwIfAborted();
    const cached = (await readdir(parent).catch(() => [])).filter((name) => COMMIT.test(name));
    const advice = cached.length === 0 ? '' : `; the cache has the commits ${cached.join(', ')}`;
    throw new Error(`${cause.message}${advice}`, { cause });
  });
  if (COMMIT.test(revision) && commit !== revision) {
    throw new Error(`${repo}: the hub answers with commit ${commit} where ${revision} was asked for`);
  }
  const dir = path.join(parent, commit);
  const work = async () => ({
    dir,
    lock: (await wholeFolder(dir, commit, repo)) ?? (await fetchFolder({ dir, repo, commit }, options)),
  });
  const onWait = () => retrying.note(`another process is fetching ${repo}; waiting for it`);
  return withCacheLock(cache, `hub/${repo}/${commit}`, work, { signal, onWait });
}

async function fetchFolder(
  { dir, repo, commit }: { dir: string; repo: string; commit: string },
  { hub, retrying, onFile }: HubPullOptions,
): Promise<HubModelLock> {
  const building = `${dir}.new`;
  const all = await hub.filesOf(repo, commit);
  const first = modelFiles(all, repo);
  makeFolder(building);
  const fetchFile = async (file: RemoteFile) => {
    const { onBytes, done } = onFile(file);
    try {
      const request = (headers: Record<string, string>) => hub.open(repo, commit, file.path, headers);
      await downloadFile(file, request, { target: placeOf(building, file.path), onBytes, retrying });
    } finally {
      done();
    }
  };
  // Small files first: a config that is refused should not cost gigabytes.
  const files = first.toSorted((a, b) => a.size - b.size);
  const index = files.find(({ path }) => path === WEIGHTS_INDEX);
  if (index !== undefined) {
    await fetchFile(index);
    const text = await readFile(placeOf(building, WEIGHTS_INDEX), 'utf8');
    files.push(...shardFiles(text, all, repo));
  }
  await assertRoomInCache(
    building,
    files.reduce((sum, { size }) => sum + size, 0),
  );
  for (const file of files) await fetchFile(file);
  const entries = files.map(({ path, size, checksum }) => ({ path, size, ...checksum }));
  const lock = { repo, commit, files: entries };
  await writeHubLock(building, lock);
  // What was there is damaged.
  await rm(dir, { recursive: true, force: true });
  await rename(building, dir);
  return lock;
}

/** The folder's lock file, if all of its files are there and right. */
async function wholeFolder(dir: string, commit: string, repo: string): Promise<HubModelLock | null> {
  const lock = await readHubLock(dir);
  if (lock?.commit !== commit || lock.repo !== repo) return null;
  for (const { path, size, ...checksum } of lock.files) {
    if (!(await isWhole(placeOf(dir, path), { size, checksum }))) return null;
  }
  return lock;
}
