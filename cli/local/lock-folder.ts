import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';

export type FolderLock = { release(): void };

/**
 * Holds a folder for this process until `release`, or until the process ends in whatever way: two stacks on one store
 * would write over each other. The lock is SQLite's, because Node itself has none that the system gives back. Null if
 * another process has it. Keep the result: a lock that nothing refers to is collected, and gone.
 */
export function lockFolder(folder: string): FolderLock | null {
  const database = new DatabaseSync(path.join(folder, 'lock.db'));
  try {
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY) return null;
    throw error;
  }
  return { release: () => database.close() };
}

const SQLITE_BUSY = 5;
