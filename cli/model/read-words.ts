import { readFile } from 'node:fs/promises';
import { whyNot } from '../options/why-not.ts';

/** A text file that an option names. Throws an Error that names both. */
export async function readWords(flag: string, file: string): Promise<string> {
  const bytes = await readFile(file).catch((cause: unknown) => {
    throw new Error(`${flag}: ${file} cannot be read: ${whyNot(cause)}`, { cause });
  });
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new Error(`${flag}: ${file}: found bytes that are not UTF-8, wanted UTF-8`, { cause });
  }
}
