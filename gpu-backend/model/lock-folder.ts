import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';

export type FolderLock = { release(): void };

/**
 * Locks a folder for this process until `release`, or until the process ends, however it ends. Two
 * stacks on one store would overwrite each other's data. We use SQLite's lock, because Node has no
 * lock that the system releases by itself. Returns null if another process has the lock. Keep a
 * reference to the result: once it is garbage-collected, the lock is gone.
 */
export function lockFolder(folder: string): FolderLock | null {
  const file = path.join(folder, 'lock.db');
  let database: DatabaseSync | undefined;
  try {
    const opened = new DatabaseSync(file);
    database = opened;
    opened.exec('BEGIN EXCLUSIVE');
    return { release: () => void (opened.isOpen && opened.close()) };
  } catch (cause) {
    database?.close();
    if ((cause as { errcode?: number }).errcode === SQLITE_BUSY) return null;
    const why = (cause as Error).message;
    throw new Error(`${file} cannot be locked (${why}); it holds nothing but the lock: delete it and start again`, {
      cause,
    });
  }
}

const SQLITE_BUSY = 5;
