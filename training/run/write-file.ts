/**
 * Writes the small files of a run. Errors name the file. While a file is being replaced, it is
 * always either the old or the new one, never half of either.
 */
import { appendFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { WriteError } from './write-error.ts';

export function replaceFile(file: string, content: string | Uint8Array): void {
  const building = `${file}.tmp`;
  try {
    writeFileSync(building, content, { flush: true });
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
