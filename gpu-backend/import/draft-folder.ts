/**
 * The folder in which an import builds a bundle: `<out>.partial`, beside the target, so that the
 * last step is a rename. It outlives an import that is stopped or killed, and the next import of
 * the same model goes on in it. Only one process at a time may have it.
 */
import { existsSync, lstatSync, readdirSync, rmSync, statSync } from 'node:fs';
import { chmod, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { BundleError } from '#gpu-backend/model/bundle-error.ts';
import { BUNDLE_FILES } from '#gpu-backend/model/bundle-files.ts';
import { type FolderLock, lockFolder } from '#gpu-backend/model/lock-folder.ts';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import { ImportJournal, JOURNAL_FILE } from './import-journal.ts';

/** What a second run may go on with. Everything else is written anew: it is small. */
const KEPT = new Set<string>([BUNDLE_FILES.weights, JOURNAL_FILE]);
const isLock = (name: string) => name.startsWith('lock.db');

export class DraftFolder {
  readonly path: string;
  readonly #target: string;
  readonly #lock: FolderLock;

  private constructor(target: string, path: string, lock: FolderLock) {
    this.#target = target;
    this.path = path;
    this.#lock = lock;
  }

  /** Refuses a target that holds something, unless it is a bundle and `force` is set. */
  static async open(out: string, { force }: { force: boolean }): Promise<DraftFolder> {
    const target = resolve(out);
    checkTarget(target, out, force);
    const path = `${target}.partial`;
    checkDraft(path);
    makeFolder(path);
    const lock = lockFolder(path);
    if (lock === null) throw new BundleError(path, 'found another import at work in it, wanted it alone');
    for (const name of await readdir(path)) {
      if (!KEPT.has(name) && !isLock(name)) await rm(join(path, name), { recursive: true });
    }
    return new DraftFolder(target, path, lock);
  }

  /** Puts the finished bundle in its place. */
  async finish(): Promise<void> {
    await rm(join(this.path, JOURNAL_FILE), { force: true });
    this.#lock.release();
    for (const name of (await readdir(this.path)).filter(isLock)) await rm(join(this.path, name));
    await chmod(this.path, 0o755);
    // The system does not rename over a folder that holds something.
    const aside = `${this.path}.old`;
    await rm(aside, { recursive: true, force: true });
    if (existsSync(this.#target)) await rename(this.#target, aside);
    await rename(this.path, this.#target);
    await rm(aside, { recursive: true, force: true });
  }

  /**
   * Ends an import that has failed. Weights that have been written stay for a later import.
   * Otherwise the folder goes, unless `keep` is set.
   */
  leave({ keep }: { keep: boolean }): void {
    const removes = !keep && !ImportJournal.hasTensors(this.path);
    this.#lock.release();
    if (!removes) return;
    try {
      // In the same turn, so that no other import of this process has the folder by then.
      rmSync(this.path, { recursive: true, force: true });
    } catch {
      // What is thrown must be why the import has failed. The next import takes the folder.
    }
  }
}

/** What is there goes, so it must be ours: an import leaves its lock behind, whatever stops it. */
function checkDraft(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  const refuse = (what: string) =>
    new BundleError(path, `found ${what}, wanted the folder of an earlier import or nothing; nothing was touched`);
  if (!found.isDirectory()) throw refuse(found.isSymbolicLink() ? 'a link' : 'a file');
  const names = readdirSync(path);
  if (names.length > 0 && !names.some(isLock)) throw refuse('a folder with other things in it');
}

function checkTarget(target: string, out: string, force: boolean): void {
  if (!existsSync(target)) {
    if (lstatSync(target, { throwIfNoEntry: false }) !== undefined) {
      throw new BundleError(out, 'found a link to nothing, wanted a new folder');
    }
    makeFolder(dirname(target));
    return;
  }
  if (!statSync(target).isDirectory()) throw new BundleError(out, 'found a file, wanted a new folder');
  if (readdirSync(target).length === 0) return;
  if (!existsSync(join(target, BUNDLE_FILES.manifest))) {
    throw new BundleError(out, 'found a folder that is not empty and no bundle, wanted a new one; nothing was touched');
  }
  if (!force) throw new BundleError(out, 'found a bundle, wanted a new folder; --force replaces the bundle');
}
