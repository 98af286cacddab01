/** Reads texts that come with a model: whole, strictly UTF-8, and never more than they may be. */
import { BundleError } from './bundle-error.ts';
import { RandomAccessFile } from './random-access-file.ts';

/** The largest tokenizer.json that we know has 35 MB. */
const MOST_BYTES = 2 ** 28;

/**
 * Errors name the file as `file`. Throws a BundleError if it cannot be read, is no regular file
 * (a pipe would never end), is larger than `most` bytes or is not UTF-8.
 */
export async function readSmallFile(
  path: string,
  file: string,
  { most = MOST_BYTES }: { most?: number } = {},
): Promise<string> {
  const opened = await RandomAccessFile.open(path, file);
  try {
    if (opened.size > most) throw new BundleError(file, `found ${opened.size} bytes, wanted at most ${most}`);
    const bytes = await opened.read(0, opened.size, 'the text');
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    throw new BundleError(file, 'found bytes that are not UTF-8, wanted UTF-8', { cause });
  } finally {
    await opened.close();
  }
}
