/** Looks into a folder to tell what it is, without reading more than necessary. */
import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs';
import path from 'node:path';
import type { FolderKind } from './claim-folder.ts';

/**
 * A folder of folders that a command continues each time it is called. Subfolders with other names
 * do not matter, but a subfolder with one of these names must be ours.
 */
export function folderOf(what: string, children: Readonly<Record<string, readonly FolderKind[]>>): FolderKind {
  return {
    what,
    isOurs(dir) {
      const found = readdirSync(dir).flatMap((name) => {
        const [, kinds] = Object.entries(children).find(([names]) => new RegExp(`^(?:${names})$`).test(name)) ?? [];
        return kinds === undefined ? [] : [{ at: path.join(dir, name), kinds }];
      });
      return found.length > 0 && found.every(({ at, kinds }) => isEmptyOr(at, kinds));
    },
    holds: null,
  };
}

function isEmptyOr(dir: string, kinds: readonly FolderKind[]): boolean {
  if (!statSync(dir).isDirectory()) return false;
  return readdirSync(dir).length === 0 || kinds.some((kind) => kind.isOurs(dir));
}

/** Reads a JSON object. Returns null if there is no such file, or no object in it. */
export function jsonOf(file: string): Record<string, unknown> | null {
  try {
    const json: unknown = JSON.parse(readFileSync(file, 'utf8'));
    return typeof json === 'object' && json !== null ? (json as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

/** Reads just enough to tell what a file is, because the file may be large. */
export function startOf(file: string): string {
  const bytes = Buffer.alloc(64 << 10);
  const opened = openSync(file, 'r');
  try {
    return bytes.toString('utf8', 0, readSync(opened, bytes));
  } finally {
    closeSync(opened);
  }
}
