import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readSafetensors } from './read-safetensors.ts';
import type { Tensor } from './tensor.ts';
import { encodeSafetensors, safetensorsBytes } from './testing/make-safetensors.ts';
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

test.each([0, 7, 40])('refuses a file cut off after %d bytes', async (length) => {
  const path = join(dir, 'cut.safetensors');
  await writeSafetensors(path, tensors, { dtype: 'f32' });
  await writeFile(path, (await readFile(path)).subarray(0, length));
  await expect(readSafetensors(path)).rejects.toThrow(/truncated/);
});

test('reads bf16 too, but refuses a file with integers', async () => {
  const path = join(dir, 'types.safetensors');
  const whole = new Map([['w', { shape: [2], data: Float32Array.of(-1.5, 3) }]]);
  await writeFile(path, encodeSafetensors(whole, 'BF16'));
  expect(await readSafetensors(path)).toEqual(whole);
  await writeFile(path, safetensorsBytes({ w: { dtype: 'I8', shape: [1], data_offsets: [0, 1] } }, Buffer.alloc(1)));
  await expect(readSafetensors(path)).rejects.toThrow(/tensor w: found type I8, wanted F32, F16 or BF16$/);
});
