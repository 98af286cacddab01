import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';

export type FolderLock = { release(): void };

/**
 * Holds a folder for this process until `release`, or until the process ends in whatever way: two stacks on one store
 * would write over each other. The lock is SQLite's, because Node itself has none that the system gives back. Null if
 * another process has it. Keep the result: a lock that nothing refers to is collected, and gone.
 */
export function lockFolder(folder: string): FolderLock | null {
  const file = path.join(folder, 'lock.db');
  let database: DatabaseSync | undefined;
  try {
    const opened = new DatabaseSync(file);
    database = opened;
    opened.exec('BEGIN EXCLUSIVE');
    return { release: () => opened.close() };
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
