/** `hub.lock.json`: what a folder from the hub holds, and from where. */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { GitBlobSum, Sha256Sum } from '../model/checksum.ts';

const LOCK_FILE = 'hub.lock.json';

const common = { path: z.string(), size: z.number().int().nonnegative() };
const HubModelLock = z.strictObject({
  repo: z.string(),
  commit: GitBlobSum.shape.gitSha1,
  /** All files of the folder but this one, each with the hub's own checksum. */
  files: z
    .array(
      z.union([z.strictObject({ ...common, ...Sha256Sum.shape }), z.strictObject({ ...common, ...GitBlobSum.shape })]),
    )
    .min(1),
});
export type HubModelLock = z.infer<typeof HubModelLock>;

/** Returns null if there is none, or if it is not ours: then the folder is fetched again. */
export async function readHubLock(dir: string): Promise<HubModelLock | null> {
  try {
    return HubModelLock.parse(JSON.parse(await readFile(path.join(dir, LOCK_FILE), 'utf8')));
  } catch {
    return null;
  }
}

export async function writeHubLock(dir: string, lock: HubModelLock): Promise<void> {
  await writeFile(path.join(dir, LOCK_FILE), `${JSON.stringify(lock, null, 2)}\n`);
}
