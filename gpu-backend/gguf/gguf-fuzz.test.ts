import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { mutatedBytes, readAnything } from '#gpu-backend/model/testing/fuzz-reader.ts';
import { asHuggingFace } from './as-hugging-face.ts';
import { openGguf } from './open-gguf.ts';
import { GgufBytes, ggufBytes } from './testing/make-gguf.ts';
import { BLOCK_FORMATS } from './testing/slow-dequantise.ts';

let dir: string;
let path: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'gguf-fuzz-'));
  path = join(dir, 'model.gguf');
});
afterAll(() => rm(dir, { recursive: true }));

async function readBytes(bytes: Uint8Array): Promise<boolean> {
  await writeFile(path, bytes);
  const asIs = await readAnything(() => openGguf(path), bytes.length);
  await readAnything(async () => {
    const gguf = await openGguf(path);
    try {
      return asHuggingFace(gguf);
    } catch (error) {
      await gguf.close();
      throw error;
    }
  }, bytes.length);
  return asIs;
}

/** A file with every kind of metadata and every type of tensor. */
const SOUND = ggufBytes({
  metadata: [
    ['general.architecture', 'llama'],
    ['llama.attention.head_count', 2],
    ['general.alignment', 32],
    ['scale', { type: 6, bytes: Buffer.alloc(4) }],
    ['long', { type: 10, bytes: Buffer.alloc(8) }],
    ['flag', { type: 7, bytes: Buffer.from([1]) }],
    ['tokens', { type: 9, bytes: new GgufBytes().u32(8).u64(2).text('a').text('bc').build() }],
    ['nested', { type: 9, bytes: new GgufBytes().u32(9).u64(1).u32(5).u64(1).u32(3).build() }],
  ],
  tensors: [
    { name: 'blk.0.attn_q.weight', type: 0, shape: [4, 2], data: Buffer.alloc(32) },
    ...Object.values(BLOCK_FORMATS).map(({ type, size, bytes }, layer) => ({
      ...{ name: `blk.${layer}.ffn_up.weight`, type, shape: [2, size], data: Buffer.alloc(2 * bytes, layer) },
    })),
  ],
});

test('reads random bytes or refuses them', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 100 }), async (bytes) => {
      await readBytes(bytes);
      await readBytes(Buffer.concat([SOUND.subarray(0, 8), bytes]));
    }),
  );
});

test('reads a changed file or refuses it', async () => {
  expect(await readBytes(SOUND)).toBe(true);
  await fc.assert(
    fc.asyncProperty(mutatedBytes(SOUND), async (bytes) => void (await readBytes(bytes))),
    { numRuns: 300 },
  );
});

test('reads a file with a changed header or refuses it', async () => {
  const headerBytes = 900;
  await fc.assert(
    fc.asyncProperty(mutatedBytes(SOUND.subarray(0, headerBytes)), async (header) => {
      await readBytes(Buffer.concat([header, SOUND.subarray(headerBytes)]));
    }),
    { numRuns: 300 },
  );
});
