import { mkdir, mkdtemp, open, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CheckpointError } from './checkpoint-error.ts';
import { openSafetensors } from './open-safetensors.ts';
import { encodeSafetensors, safetensorsBytes } from './testing/make-safetensors.ts';
import { CONTRACT_TENSORS, testTensorSource } from './testing/tensor-source-contract.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'open-safetensors-'));
});
afterAll(() => rm(dir, { recursive: true }));

let files = 0;
async function fileOf(bytes: Uint8Array): Promise<string> {
  const path = join(dir, `${files++}.safetensors`);
  await writeFile(path, bytes);
  return path;
}

for (const [dtype, size] of [['F32', 4] as const, ['F16', 2] as const, ['BF16', 2] as const]) {
  testTensorSource(`safetensors in ${dtype}`, {
    create: async () => openSafetensors(await fileOf(encodeSafetensors(CONTRACT_TENSORS, dtype))),
    dtype,
    bytes: (elements) => elements * size,
  });
}

const f32 = (begin: number, end: number, shape: number[] = [(end - begin) / 4]) => ({
  dtype: 'F32',
  shape,
  data_offsets: [begin, end],
});
const entry = (fields: object) => ({ w: { ...f32(0, 4), ...fields } });

test.each<[what: string, header: unknown, dataBytes: number, key: string | undefined, message: RegExp]>([
  [
    'the same tensor twice',
    `{"w":${JSON.stringify(f32(0, 4))},"w":${JSON.stringify(f32(0, 4))}}`,
    4,
    'safetensors header',
    /found the key w twice, wanted every key once/,
  ],
  [
    'the same tensor twice, spelled differently',
    `{"w":${JSON.stringify(f32(0, 4))},"\\u0077":${JSON.stringify(f32(0, 4))}}`,
    4,
    'safetensors header',
    /found the key w twice/,
  ],
  [
    'the same field twice',
    '{"w":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}}',
    4,
    'safetensors header',
    /found the key shape twice/,
  ],
  ['an unknown type', entry({ dtype: 'F12' }), 4, 'tensor w', /found type F12, wanted one of .*BF16/],
  ['a type named like a method', entry({ dtype: 'toString' }), 4, 'tensor w', /found type toString/],
  [
    'offsets that do not fit the shape',
    entry({ shape: [2] }),
    4,
    'tensor w',
    /found 4 bytes in data_offsets, wanted 8 for F32 \[2\]/,
  ],
  [
    'a shape larger than any file',
    entry({ shape: [2 ** 52, 2 ** 52] }),
    4,
    'tensor w',
    /found 4 bytes in data_offsets/,
  ],
  ['a shape whose size is no number', entry({ shape: [...Array(30).fill(2 ** 52), 0] }), 4, 'tensor w', /wanted NaN/],
  ['half a byte', entry({ dtype: 'F4', shape: [9] }), 4, 'tensor w', /wanted 4.5 for F4 \[9\]/],
  ['offsets that run backwards', entry({ data_offsets: [4, 0] }), 4, 'tensor w', /found -4 bytes/],
  ['a negative size', entry({ shape: [-1] }), 4, 'tensor w', /found a malformed header entry/],
  ['a size that is no whole number', entry({ shape: [1.5] }), 4, 'tensor w', /found a malformed header entry/],
  ['an entry without shape', { w: { dtype: 'F32' } }, 0, 'tensor w', /found a malformed header entry/],
  ['a tensor that is null', { w: null }, 0, 'tensor w', /found a malformed header entry/],
  ['a hole at the beginning', { w: f32(4, 8) }, 8, 'tensor w', /hole: found data from byte 4, wanted it from byte 0/],
  ['a hole in the middle', { v: f32(0, 4), w: f32(8, 12) }, 12, 'tensor w', /hole: .* byte 8, wanted it from byte 4/],
  [
    'an overlap',
    { v: f32(0, 8), w: f32(4, 12) },
    12,
    'tensor w',
    /overlap: found data from byte 4, wanted it from byte 8/,
  ],
  ['two tensors at one place', { v: f32(0, 4), w: f32(0, 4) }, 4, 'tensor w', /overlap/],
  ['too little data', { w: f32(0, 8) }, 5, undefined, /truncated: found 5 bytes of tensor data, wanted 8/],
  ['data far beyond the file', { w: f32(0, 2 ** 50) }, 5, undefined, /truncated: found 5 bytes of tensor data/],
  ['too much data', { w: f32(0, 4) }, 9, undefined, /no tensor owns the end of the file: found 9 bytes/],
  [
    'metadata that is no text',
    { __metadata__: { step: 5 } },
    0,
    '__metadata__',
    /found other values, wanted texts only/,
  ],
  ['a header that is not JSON', '{', 0, 'safetensors header', /found no JSON/],
  ['an empty header', '', 0, 'safetensors header', /found no JSON/],
  ['a header that is not an object', '[]', 0, 'safetensors header', /found "\[" as its first character/],
  ['a header that begins with a space', ' {}', 0, 'safetensors header', /found " " as its first character/],
  ['a header that begins with a mark of byte order', '\ufeff{}', 0, 'safetensors header', /found no JSON/],
])('refuses %s', async (_what, header, dataBytes, key, message) => {
  const opening = openSafetensors(await fileOf(safetensorsBytes(header, Buffer.alloc(dataBytes))), 'weights');
  await expect(opening).rejects.toThrow(CheckpointError);
  await expect(opening).rejects.toThrow(message);
  await expect(opening).rejects.toMatchObject({ file: 'weights', key });
});

test('refuses a header that is not UTF-8', async () => {
  const bytes = safetensorsBytes({ wxyz: f32(0, 4) }, Buffer.alloc(4));
  bytes[bytes.indexOf('wxyz')] = 0xff;
  await expect(openSafetensors(await fileOf(bytes))).rejects.toThrow(/safetensors header: found no JSON/);
});

test.each([5n, 101n, 2n ** 31n, 2n ** 53n, 2n ** 64n - 1n])(
  'refuses a header of %d bytes in a smaller file',
  async (length) => {
    const bytes = safetensorsBytes('{}');
    bytes.writeBigUInt64LE(length);
    const message = `found a header of ${Number(length)} bytes, wanted at most 2`;
    await expect(openSafetensors(await fileOf(bytes), 'w')).rejects.toThrow(
      `w: truncated or not safetensors: ${message}`,
    );
  },
);

test('refuses a header above the limit, even in a file as large', async () => {
  const path = await fileOf(safetensorsBytes('{}'));
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(100_000_001n);
  await writeFile(path, bytes);
  // A hole on the disk: it takes no space.
  await truncate(path, 200_000_000);
  await expect(openSafetensors(path)).rejects.toThrow(/found a header of 100000001 bytes, wanted at most 16777216/);
});

test.each([0, 1, 7])('refuses a file of %d bytes', async (length) => {
  await expect(openSafetensors(await fileOf(Buffer.alloc(length)), 'w')).rejects.toThrow(
    `w: truncated within the header length: found ${length} bytes, wanted at least 8`,
  );
});

test('says why a file cannot be opened', async () => {
  await expect(openSafetensors(join(dir, 'none'), 'w')).rejects.toThrow(
    'w: cannot be read: found no such file, wanted a readable file',
  );
  const folder = join(dir, 'folder');
  await mkdir(folder);
  await expect(openSafetensors(folder, 'w')).rejects.toThrow(/cannot be read: found a folder/);
});

test('a file that shrinks after it was opened is truncated', async () => {
  const path = await fileOf(safetensorsBytes({ v: f32(0, 4), w: f32(4, 8) }, Buffer.alloc(8)));
  const source = await openSafetensors(path);
  await truncate(path, (await stat(path)).size - 2);
  expect(await source.read('v')).toEqual(Float32Array.of(0));
  await expect(source.read('w')).rejects.toThrow(/truncated within tensor w/);
  await source.close();
});

test('reads a small tensor behind six gigabytes', async () => {
  const end = 6 * 2 ** 30;
  const path = await fileOf(safetensorsBytes({ huge: f32(0, end), small: f32(end, end + 4) }));
  const start = (await stat(path)).size;
  // A hole on the disk: it takes no space.
  const file = await open(path, 'r+');
  await file.write(Float32Array.of(5), 0, 4, start + end);
  await file.close();
  const source = await openSafetensors(path);
  expect(source.info('huge').bytes).toBe(end);
  expect([...(await source.read('small'))]).toEqual([5]);
  await source.close();
});

test('reads scalars, empty tensors, tensors in any order and after metadata', async () => {
  const header = {
    second: f32(4, 8),
    __metadata__: { format: 'pt' },
    none: f32(8, 8, [0, 7]),
    scalar: f32(0, 4, []),
    ['__proto__']: f32(8, 12),
  };
  const data = new Uint8Array(Float32Array.of(1, 2, 3).buffer);
  const source = await openSafetensors(await fileOf(safetensorsBytes(header, data)));
  expect(source.names()).toEqual(['second', 'none', 'scalar', '__proto__']);
  expect(source.info('scalar')).toEqual({ dtype: 'F32', shape: [], bytes: 4 });
  expect(source.info('none')).toEqual({ dtype: 'F32', shape: [0, 7], bytes: 0 });
  const read = await Promise.all(['scalar', 'second', 'none', '__proto__'].map((name) => source.read(name)));
  expect(read.map((values) => [...values])).toEqual([[1], [2], [], [3]]);
  await source.close();
});

test('lists types that f32 cannot hold, gives their bytes and refuses their numbers', async () => {
  const header = {
    ids: { dtype: 'I64', shape: [1], data_offsets: [0, 8] },
    tiny: { dtype: 'F4', shape: [2, 3], data_offsets: [8, 11] },
  };
  const source = await openSafetensors(
    await fileOf(safetensorsBytes(header, Buffer.from('0102030405060708aabbcc', 'hex'))),
  );
  expect(source.info('tiny')).toEqual({ dtype: 'F4', shape: [2, 3], bytes: 3 });
  expect([...(await source.readBytes('tiny'))]).toEqual([0xaa, 0xbb, 0xcc]);
  expect([...(await source.readBytes('ids'))]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  await expect(source.read('ids')).rejects.toThrow(/tensor ids: found type I64, wanted F32, F16 or BF16/);
  await source.close();
});
