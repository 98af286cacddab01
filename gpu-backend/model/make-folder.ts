/**
 * Makes a folder and its missing parents, one by one. Node's own `recursive` option never returns
 * if the file system takes no new folders, as below /proc: it retries forever and keeps a core
 * busy.
 */
import { mkdirSync, statSync } from 'node:fs';
import path from 'node:path';

/** Throws an error that names the folder and the reason. A folder that already exists is fine. */
export function makeFolder(dir: string, { mode }: { mode?: number } = {}): void {
  const missing: string[] = [];
  let at = path.resolve(dir);
  for (;;) {
    const found = statSync(at, { throwIfNoEntry: false });
    if (found?.isDirectory()) break;
    if (found !== undefined) throw new Error(`${dir} cannot be made: ${at} is a file`);
    missing.unshift(at);
    at = path.dirname(at);
  }
  for (const folder of missing) {
    try {
      mkdirSync(folder, mode === undefined ? {} : { mode });
    } catch (cause) {
      // Another process may have been faster.
      if (statSync(folder, { throwIfNoEntry: false })?.isDirectory()) continue;
      throw new Error(`${dir} cannot be made: ${reason(cause, folder)}`, { cause });
    }
  }
}

function reason(cause: unknown, folder: string): string {
  const parent = path.dirname(folder);
  switch ((cause as NodeJS.ErrnoException).code) {
    case 'ENOENT':
      return `the file system of ${parent} takes no new folders`;
    case 'EACCES':
    case 'EPERM':
      return `no permission to write in ${parent}`;
    case 'EROFS':
      return `${parent} is on a read-only file system`;
    case 'ENOSPC':
      return `the disk of ${parent} is full`;
    case 'EEXIST':
      return `${folder} is a link to nothing`;
    default:
      return cause instanceof Error ? cause.message : String(cause);
  }
}
