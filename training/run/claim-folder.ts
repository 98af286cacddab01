/**
 * Every command calls this for its `--out` before any work. It makes the folder, checks that we can
 * write to it, and checks that it holds nothing that somebody would miss. A folder that is neither
 * empty nor ours is never touched. A folder made by the same command is touched only with `--force`
 * or `--resume`.
 */
import { closeSync, existsSync, lstatSync, openSync, readdirSync, realpathSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';

export type FolderKind = {
  /** The kind's name with its article, as in "a bundle". */
  what: string;
  /** Whether this folder is of this kind. Called only for a folder that exists and is not empty. */
  isOurs: (dir: string) => boolean;
  /**
   * If the command replaces the folder as a whole: everything that may be in it, as paths relative
   * to the folder. Anything else in it would be lost. Null if the command writes files one by one,
   * so that other files may stay next to them.
   */
  holds: readonly RegExp[] | null;
};

export type Claim = {
  kind: FolderKind;
  /** Replace the existing folder or file. */
  force?: boolean;
  /** Continue with the existing folder. Null if the command cannot do that. */
  resume?: boolean | null;
};

/** Returns the folder's real path. If `--out` is a link to a folder, that is the linked folder. */
export function claimFolder(out: string, { kind, force = false, resume = null }: Claim): string {
  const dir = placeOf(out);
  if (!existsSync(dir)) {
    makeFolder(kind.holds === null ? dir : path.dirname(dir));
  } else if (readdirSync(dir).length > 0) {
    assertOurs(out, dir, kind);
    if (!force && resume !== true) {
      const ways = resume === null ? '--force replaces it' : '--resume goes on with it, --force replaces it';
      throw new Error(`${out} holds ${kind.what} already: ${ways}, or name another folder`);
    }
  }
  // A folder that is replaced as a whole is built next to the old one.
  assertWritable(out, kind.holds === null ? dir : path.dirname(dir));
  return dir;
}

/** Does the same for a single file, such as `--json FILE`. */
export function claimFile(file: string, { force = false }: { force?: boolean } = {}): string {
  const found = lstatSync(file, { throwIfNoEntry: false });
  if (found?.isDirectory()) throw new Error(`${file} is a folder; a file is wanted`);
  if (found !== undefined && !force)
    throw new Error(`${file} is there already: --force replaces it, or name another file`);
  makeFolder(path.dirname(file));
  assertWritable(file, path.dirname(path.resolve(file)));
  return file;
}

function placeOf(out: string): string {
  if (lstatSync(out, { throwIfNoEntry: false }) === undefined) return path.resolve(out);
  const found = statSync(out, { throwIfNoEntry: false });
  if (found === undefined) throw new Error(`${out} is a link to nothing; a folder is wanted`);
  if (!found.isDirectory()) throw new Error(`${out} is a file; a folder is wanted`);
  return realpathSync(out);
}

function assertOurs(out: string, dir: string, { what, isOurs, holds }: FolderKind): void {
  const advice = 'nothing was touched; name a new folder or an empty one';
  if (!isOurs(dir)) throw new Error(`${out} is not empty and not ${what}: ${advice}`);
  if (holds === null) return;
  const others = everythingIn(dir).filter((name) => !holds.some((pattern) => pattern.test(name)));
  if (others.length === 0) return;
  const some = others.slice(0, 5).join(', ') + (others.length > 5 ? ` and ${others.length - 5} more` : '');
  throw new Error(`${out} holds more than ${what}, and that would be lost (${some}): ${advice}`);
}

/** Lists all files and links, as paths relative to the folder. */
function everythingIn(dir: string): string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.relative(dir, path.join(entry.parentPath, entry.name)).replaceAll(path.sep, '/'))
    .sort();
}

/**
 * Writes a test file, because permissions do not tell us about read-only or special file systems.
 */
export function assertWritable(out: string, dir: string): void {
  const probe = path.join(dir, `.plimsoll-${process.pid}`);
  try {
    closeSync(openSync(probe, 'wx'));
    rmSync(probe);
  } catch (cause) {
    throw new Error(`${out} cannot be written: ${cause instanceof Error ? cause.message : cause}`, { cause });
  }
}
