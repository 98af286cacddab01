/** Block formats of GGUF, from random blocks, against what llama.cpp makes of them. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TENSOR_TYPES } from '#gpu-backend/gguf/tensor-types.ts';
import { EMBEDDING_WIDTH, embeddingGguf, undoNorm } from '#gpu-backend/gguf/testing/embedding-gguf.ts';
import { BLOCK_FORMATS } from '#gpu-backend/gguf/testing/slow-dequantise.ts';
import { createRandom } from '#training/data/random.ts';
import { installLlamaCpp, LlamaCpp } from '../llama-cpp.ts';

let missing: string | undefined;
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'llama-cpp-blocks-'));
  missing = await installLlamaCpp();
  if (missing !== undefined) console.warn(`SKIPPED, llama.cpp is not here: ${missing}`);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const ROWS = 64;

/**
 * Random bytes. Only the halves are chosen: any finite one below 2^-3, or 2^-8 in a K format, whose
 * scales multiply it by up to 127. So weights stay below 16, and a row's scale survives the norm's
 * `+ 1` with its digits.
 */
function randomBlocks(name: string): Uint8Array<ArrayBuffer> {
  const format = BLOCK_FORMATS[name]!;
  const random = createRandom(`llama-cpp-blocks/${name}`);
  const blocks = (ROWS * EMBEDDING_WIDTH) / format.size;
  const bytes = Uint8Array.from({ length: blocks * format.bytes }, () => random.int(0, 255));
  const exponents = format.size === 256 ? 7 : 12;
  for (let block = 0; block < blocks; block++) {
    for (const at of format.halves) {
      const begin = block * format.bytes + at;
      bytes[begin + 1] = random.int(0, 1) * 0x80 + random.int(0, exponents * 4 - 1);
    }
  }
  return bytes;
}

/**
 * llama.cpp dequantises to the same float32 as we do. But what it hands back has gone through a
 * norm in float32, which rounds by 6e-8 a few times. To undo the norm multiplies that by the mean
 * square of the row, which is up to 80: the largest error found is 1.5e-6. A wrong bit of a quant
 * or a scale changes most weights by 1/128 or more.
 */
const TOLERANCE = 1e-5;

test.for(Object.keys(BLOCK_FORMATS))(
  '%s: random blocks are the weights that llama.cpp makes of them',
  async (name, { skip }) => {
    skip(missing !== undefined, missing);
    const { type } = BLOCK_FORMATS[name]!;
    const { blockBytes, decode } = TENSOR_TYPES.get(type)!;
    const data = randomBlocks(name);
    const file = path.join(dir, `${name}.gguf`);
    await writeFile(file, embeddingGguf({ type, rows: ROWS, data }));
    const llama = await LlamaCpp.openForEmbeddings({ file });
    try {
      const ours = decode(data, data.length / blockBytes);
      const theirs = await llama.embed(Array.from({ length: ROWS }, (_, id) => id));
      let worst = 0;
      for (const [row, y] of theirs.entries()) {
        expect(y).toHaveLength(EMBEDDING_WIDTH);
        for (const [i, wanted] of undoNorm(y).entries()) {
          const found = ours[row * EMBEDDING_WIDTH + i]!;
          worst = Math.max(worst, found === wanted ? 0 : Math.abs(found - wanted) / Math.abs(wanted));
        }
      }
      expect(worst).toBeLessThan(TOLERANCE);
    } finally {
      await llama.close();
    }
  },
);
