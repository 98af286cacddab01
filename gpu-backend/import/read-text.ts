import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { BundleError } from '#gpu-backend/model/bundle-error.ts';
import { CheckpointError } from '#gpu-backend/model/checkpoint-error.ts';
import { RandomAccessFile } from '#gpu-backend/model/random-access-file.ts';

/** The largest tokenizer.json that we know has 35 MB. */
const MOST_BYTES = 2 ** 28;

/** Reads a small text file of a user whole. `file` names it in errors. */
export async function readSmallText(path: string, file: string = basename(path)): Promise<string> {
  const opened = await RandomAccessFile.open(path, file);
  try {
    if (opened.size > MOST_BYTES) {
      throw new CheckpointError(file, { found: `${opened.size} bytes`, wanted: `at most ${MOST_BYTES}` });
    }
    const bytes = await opened.read(0, opened.size, 'the text');
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    throw new BundleError(file, 'found bytes that are not UTF-8, wanted text', { cause });
  } finally {
    await opened.close();
  }
}

/** The same, but undefined if there is no such file. */
export async function readIfThere(folder: string, file: string): Promise<string | undefined> {
  return (await exists(join(folder, file))) ? readSmallText(join(folder, file), file) : undefined;
}

export const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
