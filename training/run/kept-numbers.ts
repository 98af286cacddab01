/**
 * Numbers that frozen weights give for a set of rows: the reference's log-probabilities, hidden
 * states. They cost minutes and never change, so they are kept in files beside the runs, where a
 * resumed run and other runs on the same rows find them. A file's name and content say by digests
 * what its numbers depend on; numbers of anything else are not found.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import { assertWritable } from './claim-folder.ts';
import { replaceFile } from './write-file.ts';

/** What numbers depend on, such as digests of base, adapter and rows. */
type NumbersKey = Readonly<Record<string, string>>;

export type KeptNumbers = {
  /** NaN where nothing has been computed yet. */
  values: Float32Array;
  /** Writes the values, also half of them. Throws a WriteError if that fails. */
  save: () => void;
};

/** A file's first line. The rest are the values: float32, little-endian. */
const KeptHeader = z.strictObject({
  key: z.record(z.string(), z.string()),
  /** Of the values' bytes. */
  sha256: z.string(),
});

export const KEPT_FOLDER = 'kept-numbers';

/**
 * Makes the folder of kept numbers: beside a run's own folder, or inside it where we cannot write
 * beside it. There only that run finds them. Throws if neither can be written.
 */
export function keptFolder(runDir: string): string {
  const run = path.resolve(runDir);
  const [beside, inside] = [path.join(path.dirname(run), KEPT_FOLDER), path.join(run, KEPT_FOLDER)];
  try {
    return claimed(beside);
  } catch {
    return claimed(inside);
  }
}

function claimed(folder: string): string {
  makeFolder(folder);
  assertWritable(folder, folder);
  return folder;
}

/**
 * @param folder where the files are
 * @param what they are, for the file's name
 * @param count of the numbers
 */
export function keptNumbers(
  folder: string,
  { what, key, count }: { what: string; key: NumbersKey; count: number },
): KeptNumbers {
  const name = createHash('sha256').update(JSON.stringify(key)).digest('hex').slice(0, 16);
  const file = path.join(folder, `${what}-${name}.f32`);
  const values = readKept(file, { key, count }) ?? new Float32Array(count).fill(Number.NaN);
  const save = () => {
    const bytes = bytesOf(values);
    makeFolder(folder);
    const header: z.infer<typeof KeptHeader> = { key, sha256: sha256(bytes) };
    replaceFile(file, `${JSON.stringify(header)}\n`, bytes);
  };
  return { values, save };
}

/**
 * Null for a file that is missing, damaged, or of something else: its numbers are computed anew.
 */
function readKept(file: string, { key, count }: { key: NumbersKey; count: number }): Float32Array | null {
  try {
    const content = readFileSync(file);
    const end = content.indexOf('\n');
    const kept = KeptHeader.parse(JSON.parse(content.toString('utf8', 0, Math.max(0, end))));
    const bytes = content.subarray(end + 1);
    const isWhole = bytes.length === 4 * count && sha256(bytes) === kept.sha256;
    if (!isWhole || JSON.stringify(kept.key) !== JSON.stringify(key)) return null;
    return new Float32Array(Uint8Array.from(bytes).buffer);
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof z.ZodError) return null;
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array) => Buffer.from(buffer, byteOffset, byteLength);
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** The digest of token rows: their ids, and how much each counts. */
export function rowsDigest(rows: Iterable<{ ids: ArrayLike<number>; weights: ArrayLike<number> }>): string {
  const hash = createHash('sha256');
  for (const { ids, weights } of rows) hash.update(`${Array.from(ids).join()}|${Array.from(weights).join()}\n`);
  return hash.digest('hex');
}
