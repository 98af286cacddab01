import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readSafetensors } from './read-safetensors.ts';
import type { Tensor } from './tensor.ts';
import { writeSafetensors } from './write-safetensors.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'safetensors-'));
});
afterAll(() => rm(dir, { recursive: true }));

const tensors = new Map<string, Tensor>([
  ['b.weight', { shape: [2, 3], data: Float32Array.of(0, -1, 0.5, 1024, 2 ** -14, 65504) }],
  ['a.bias', { shape: [1], data: Float32Array.of(0.25) }],
  ['empty', { shape: [0, 3], data: new Float32Array() }],
]);

/** A file with the given header and this many zero bytes of data. */
async function fileWith(header: unknown, dataBytes: number): Promise<string> {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.byteLength));
  const path = join(dir, 'made.safetensors');
  await writeFile(path, Buffer.concat([length, json, Buffer.alloc(dataBytes)]));
  return path;
}

test.each(['f16', 'f32'] as const)('writes %s and reads back the same names, shapes and numbers', async (dtype) => {
  const path = join(dir, `${dtype}.safetensors`);
  await writeSafetensors(path, tensors, { dtype });
  expect(await readSafetensors(path)).toEqual(tensors);
});

test('writes the format’s layout: an aligned JSON header, then the data', async () => {
  const path = join(dir, 'layout.safetensors');
  await writeSafetensors(path, tensors, { dtype: 'f32' });
  const bytes = await readFile(path);
  const headerBytes = Number(bytes.readBigUInt64LE());
  expect(headerBytes % 8).toBe(0);
  expect(JSON.parse(bytes.toString('utf8', 8, 8 + headerBytes))).toMatchObject({
    'b.weight': { dtype: 'F32', shape: [2, 3], data_offsets: [0, 24] },
    'a.bias': { dtype: 'F32', shape: [1], data_offsets: [24, 28] },
  });
  expect(bytes.readFloatLE(8 + headerBytes + 4)).toBe(-1);
});

test('refuses to save a number that f16 cannot hold, and names the tensor', async () => {
  const big = new Map([['w', { shape: [1], data: Float32Array.of(70_000) }]]);
  await expect(writeSafetensors(join(dir, 'big'), big, { dtype: 'f16' })).rejects.toThrow(
    /tensor w: 70000 does not fit f16/,
  );
});

test.each([
  [
    'bf16',
    { w: { dtype: 'BF16', shape: [1], data_offsets: [0, 2] } },
    2,
    /tensor w: found type BF16, wanted F16 or F32/,
  ],
  [
    'offsets that do not fit the shape',
    { w: { dtype: 'F32', shape: [2], data_offsets: [0, 4] } },
    4,
    /tensor w: found 4 bytes in data_offsets, wanted 8/,
  ],
  [
    'a hole',
    { w: { dtype: 'F32', shape: [1], data_offsets: [4, 8] } },
    8,
    /tensor w: its data begins at byte 4, wanted 0/,
  ],
  [
    'too little data',
    { w: { dtype: 'F32', shape: [2], data_offsets: [0, 8] } },
    5,
    /truncated: found 5 bytes of tensor data, wanted 8/,
  ],
  [
    'too much data',
    { w: { dtype: 'F32', shape: [1], data_offsets: [0, 4] } },
    9,
    /found 9 bytes of tensor data, wanted 4/,
  ],
  ['a malformed entry', { w: { dtype: 'F32' } }, 0, /tensor w: its header entry is malformed/],
  ['a header that is not JSON', '{', 0, /header is not JSON/],
  ['a header that is not an object', '[]', 0, /header is not an object/],
])('refuses %s', async (_what, header, dataBytes, message) => {
  await expect(readSafetensors(await fileWith(header, dataBytes))).rejects.toThrow(message);
});

test.each([0, 7, 40])('refuses a file cut off after %d bytes', async (length) => {
  const path = join(dir, 'cut.safetensors');
  await writeSafetensors(path, tensors, { dtype: 'f32' });
  await writeFile(path, (await readFile(path)).subarray(0, length));
  await expect(readSafetensors(path)).rejects.toThrow(/truncated/);
});
