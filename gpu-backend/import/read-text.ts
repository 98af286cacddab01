import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { readSmallFile } from '#gpu-backend/model/read-small-file.ts';

/** Reads a small text file of a user whole. `file` names it in errors. */
export const readSmallText = (path: string, file: string = basename(path)): Promise<string> =>
  readSmallFile(path, file);

/** The same, but undefined if there is no such file. */
export async function readIfThere(folder: string, file: string): Promise<string | undefined> {
  return (await exists(join(folder, file))) ? readSmallText(join(folder, file), file) : undefined;
}

export const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
