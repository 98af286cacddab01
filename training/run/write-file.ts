/**
 * Writes the small files of a run. Errors name the file. While a file is being replaced, it is
 * always either the old or the new one, never half of either.
 */
import { appendFileSync, closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { WriteError } from './write-error.ts';

/** The file gets `parts`, one after the other. */
export function replaceFile(file: string, ...parts: readonly (string | Uint8Array)[]): void {
  const building = `${file}.tmp`;
  try {
    const opened = openSync(building, 'w');
    try {
      for (const part of parts) writeFileSync(opened, part);
      fsyncSync(opened);
    } finally {
      closeSync(opened);
    }
    renameSync(building, file);
  } catch (cause) {
    rmSync(building, { force: true });
    throw new WriteError(file, cause);
  }
}

export function appendLine(file: string, line: string): void {
  try {
    appendFileSync(file, `${line}\n`);
  } catch (cause) {
    throw new WriteError(file, cause);
  }
}
