/** What must hold of a reader, whatever the bytes of a file are. */
import fc from 'fast-check';
import { expect } from 'vitest';
import { CheckpointError } from '../checkpoint-error.ts';
import { elementCount } from '../tensor.ts';
import type { TensorSource } from '../tensor-source.ts';

/** Numbers that formats like to be wrong about. */
const ODD_NUMBERS = [0n, 1n, 7n, 2n ** 20n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];

type Change = (bytes: Buffer) => Buffer;

/** A sound file after a few changes: bytes flipped, numbers replaced, parts cut out or repeated. */
export function mutatedBytes(sound: Uint8Array): fc.Arbitrary<Buffer> {
  const at = fc.nat({ max: sound.length - 1 });
  const length = fc.integer({ min: 1, max: 64 });
  const flip = fc.tuple(at, fc.integer({ min: 1, max: 255 })).map(
    ([at, bits]): Change =>
      (bytes) => {
        if (at < bytes.length) bytes[at] = bytes[at]! ^ bits;
        return bytes;
      },
  );
  const replace = fc.tuple(at, fc.constantFrom(...ODD_NUMBERS)).map(
    ([at, value]): Change =>
      (bytes) => {
        if (at + 8 <= bytes.length) bytes.writeBigUInt64LE(value, at);
        return bytes;
      },
  );
  const cut = fc.tuple(at, length).map(
    ([at, length]): Change =>
      (bytes) =>
        Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]),
  );
  const repeat = fc.tuple(at, length).map(
    ([at, length]): Change =>
      (bytes) =>
        Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)]),
  );
  const end = at.map(
    (at): Change =>
      (bytes) =>
        bytes.subarray(0, at),
  );
  return fc
    .array(fc.oneof(flip, replace, cut, repeat, end), { minLength: 1, maxLength: 4 })
    .map((changes) => changes.reduce<Buffer>((bytes, change) => change(bytes), Buffer.from(sound)));
}

/**
 * Opens a file of `fileBytes` bytes and reads all of it. Either that works, and then no tensor is
 * larger than the file, or it throws a `CheckpointError`. Neither takes memory for what the file
 * only claims. Returns whether it worked.
 */
export async function readAnything(open: () => Promise<TensorSource>, fileBytes: number): Promise<boolean> {
  const before = process.memoryUsage().arrayBuffers;
  let source: TensorSource | undefined;
  try {
    source = await open();
    for (const name of source.names()) {
      const { bytes, shape } = source.info(name);
      expect(bytes).toBeLessThanOrEqual(fileBytes);
      expect(await source.readBytes(name)).toHaveLength(bytes);
      expect(await source.read(name)).toHaveLength(elementCount(shape));
    }
    return true;
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    expect(error.message.startsWith(`${error.file}: ${error.key ?? ''}`)).toBe(true);
    expect(error.message.endsWith(`found ${error.found}, wanted ${error.wanted}`)).toBe(true);
    return false;
  } finally {
    await source?.close();
    // Buffers that nobody holds any more may be counted still, so this is well above the files'
    // sizes; a claim of a gigabyte is far above it.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 24);
  }
}
