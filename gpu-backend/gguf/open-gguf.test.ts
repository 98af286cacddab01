import { mkdtemp, open, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CheckpointError } from '#gpu-backend/model/checkpoint-error.ts';
import { encodeHalf } from '#gpu-backend/model/half.ts';
import { CONTRACT_TENSORS, testTensorSource } from '#gpu-backend/model/testing/tensor-source-contract.ts';
import { openGguf } from './open-gguf.ts';
import { GgufBytes, type GgufParts, ggufBytes } from './testing/make-gguf.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'open-gguf-'));
});
afterAll(() => rm(dir, { recursive: true }));

let files = 0;
async function fileOf(bytes: Uint8Array): Promise<string> {
  const path = join(dir, `${files++}.gguf`);
  await writeFile(path, bytes);
  return path;
}

/** Blocks with the scale 1/8, which the contract's numbers fit exactly. */
function q8(data: Float32Array): Uint8Array {
  const blocks: Uint8Array[] = [];
  for (let i = 0; i < data.length; i += 32) {
    const quants = Int8Array.from(data.subarray(i, i + 32), (x) => x * 8);
    blocks.push(new Uint8Array(encodeHalf(Float32Array.of(1 / 8)).buffer), new Uint8Array(quants.buffer));
  }
  return Buffer.concat(blocks);
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView) => new Uint8Array(buffer, byteOffset, byteLength);
const upperHalves = (data: Float32Array) =>
  Uint16Array.from(new Uint32Array(data.slice().buffer), (bits) => bits >>> 16);

const ENCODINGS: {
  dtype: string;
  type: number;
  encode: (data: Float32Array) => Uint8Array;
  block: [number, number];
}[] = [
  { dtype: 'F32', type: 0, encode: bytesOf, block: [1, 4] },
  { dtype: 'F16', type: 1, encode: (data) => bytesOf(encodeHalf(data)), block: [1, 2] },
  { dtype: 'BF16', type: 30, encode: (data) => bytesOf(upperHalves(data)), block: [1, 2] },
  { dtype: 'Q8_0', type: 8, encode: q8, block: [32, 34] },
];
for (const { dtype, type, encode, block } of ENCODINGS) {
  testTensorSource(`GGUF in ${dtype}`, {
    create: async () => {
      const tensors = [...CONTRACT_TENSORS].map(([name, { shape, data }]) => ({
        name,
        type,
        shape,
        data: encode(data),
      }));
      return openGguf(await fileOf(ggufBytes({ metadata: [['general.architecture', 'llama']], tensors })));
    },
    dtype,
    bytes: (elements) => (elements / block[0]) * block[1],
  });
}

const number = (bytes: number, write: (buffer: Buffer) => void) => {
  const buffer = Buffer.alloc(bytes);
  write(buffer);
  return buffer;
};
const array = (of: number, count: number | bigint, items: Uint8Array = new Uint8Array()) => ({
  type: 9,
  bytes: new GgufBytes().u32(of).u64(count).bytes(items).build(),
});

test('reads every type of metadata', async () => {
  const texts = new GgufBytes().text('Ġ t').text('').text('日本').build();
  const nested = new GgufBytes()
    .u32(0)
    .u64(2)
    .bytes(Buffer.from([1, 2]))
    .u32(0)
    .u64(0)
    .build();
  const path = await fileOf(
    ggufBytes({
      metadata: [
        ['u8', { type: 0, bytes: Buffer.from([255]) }],
        ['i8', { type: 1, bytes: Buffer.from([255]) }],
        ['u16', { type: 2, bytes: number(2, (b) => b.writeUInt16LE(65_535)) }],
        ['i16', { type: 3, bytes: number(2, (b) => b.writeInt16LE(-2)) }],
        ['u32', { type: 4, bytes: number(4, (b) => b.writeUInt32LE(4_000_000_000)) }],
        ['i32', { type: 5, bytes: number(4, (b) => b.writeInt32LE(-3)) }],
        ['f32', { type: 6, bytes: number(4, (b) => b.writeFloatLE(0.5)) }],
        ['false', { type: 7, bytes: Buffer.from([0]) }],
        ['true', { type: 7, bytes: Buffer.from([1]) }],
        ['text', 'a\u0000b'],
        ['u64', { type: 10, bytes: number(8, (b) => b.writeBigUInt64LE(2n ** 64n - 1n)) }],
        ['i64', { type: 11, bytes: number(8, (b) => b.writeBigInt64LE(-4n)) }],
        ['f64', { type: 12, bytes: number(8, (b) => b.writeDoubleLE(Math.PI)) }],
        ['texts', array(8, 3, texts)],
        [
          'numbers',
          array(
            5,
            2,
            number(8, (b) => b.writeInt32LE(-1, 4)),
          ),
        ],
        ['none', array(12, 0)],
        ['nested', array(9, 2, nested)],
        ['__proto__', 'an ordinary key'],
      ],
    }),
  );
  const source = await openGguf(path);
  expect([...source.metadata]).toEqual([
    ['u8', 255],
    ['i8', -1],
    ['u16', 65_535],
    ['i16', -2],
    ['u32', 4_000_000_000],
    ['i32', -3],
    ['f32', 0.5],
    ['false', false],
    ['true', true],
    ['text', 'a\u0000b'],
    ['u64', 2n ** 64n - 1n],
    ['i64', -4n],
    ['f64', Math.PI],
    ['texts', ['Ġ t', '', '日本']],
    ['numbers', [0, -1]],
    ['none', []],
    ['nested', [[1, 2], []]],
    ['__proto__', 'an ordinary key'],
  ]);
  await source.close();
});

test('reads a header longer than the first read', async () => {
  const long = 'x'.repeat(5_000_000);
  const data = Float32Array.of(1, 2);
  const tensors = [{ name: 'w', type: 0, shape: [2], data: bytesOf(data) }];
  const source = await openGguf(await fileOf(ggufBytes({ metadata: [['long', long]], tensors })));
  expect(source.metadata.get('long')).toBe(long);
  expect(await source.read('w')).toEqual(data);
  await source.close();
});

test.each([32, 8, 256])('finds tensors at an alignment of %d', async (alignment) => {
  const tensors = ['v', 'w'].map((name, i) => ({ name, type: 0, shape: [1], data: bytesOf(Float32Array.of(i + 1)) }));
  const bytes = ggufBytes({ metadata: [['general.alignment', alignment]], tensors, alignment });
  // The padding after the last tensor may be missing, as llama.cpp has it.
  const source = await openGguf(await fileOf(bytes.subarray(0, bytes.length - alignment + 4)));
  expect([...(await source.read('v')), ...(await source.read('w'))]).toEqual([1, 2]);
  await source.close();
});

test('reads a small tensor behind six gigabytes', async () => {
  const end = 6 * 2 ** 30;
  const tensors = [
    { name: 'huge', type: 0, shape: [end / 4], data: new Uint8Array() },
    { name: 'small', type: 0, shape: [1], data: new Uint8Array(), offset: end },
  ];
  const path = await fileOf(ggufBytes({ tensors }));
  const start = (await stat(path)).size;
  // A hole on the disk: it takes no space.
  const file = await open(path, 'r+');
  await file.write(Float32Array.of(5), 0, 4, start + end);
  await file.close();
  const source = await openGguf(path);
  expect(source.info('huge').bytes).toBe(end);
  expect([...(await source.read('small'))]).toEqual([5]);
  await source.close();
});

test('reads scalars, empty tensors, and the older version 2', async () => {
  const tensors = [
    { name: 'none', type: 0, shape: [0, 3], data: new Uint8Array() },
    { name: 'scalar', type: 0, shape: [], data: bytesOf(Float32Array.of(7)) },
  ];
  const source = await openGguf(await fileOf(ggufBytes({ version: 2, tensors })));
  expect(source.info('none')).toEqual({ dtype: 'F32', shape: [0, 3], bytes: 0 });
  expect([...(await source.read('scalar'))]).toEqual([7]);
  await source.close();
});

const w = { name: 'w', type: 0, shape: [2], data: new Uint8Array(8) };

test.each<[what: string, parts: GgufParts, key: string, message: RegExp]>([
  ['version 1', { version: 1 }, 'version', /found 1, wanted 2 or 3/],
  ['a big-endian file', { version: 0x03000000 }, 'version', /found a big-endian file/],
  ['a tensor twice', { tensors: [w, { ...w, offset: 32 }] }, 'tensor w', /found this name twice/],
  [
    'a key twice',
    {
      metadata: [
        ['a', 1],
        ['a', 2],
      ],
    },
    'a',
    /found this name twice/,
  ],
  [
    'a type that we do not read',
    { tensors: [{ ...w, type: 11 }] },
    'tensor w',
    /found type Q3_K, wanted one of F32,.*Q6_K/,
  ],
  ['an unknown type', { tensors: [{ ...w, type: 99 }] }, 'tensor w', /found type number 99/],
  ['a type that ggml has removed', { tensors: [{ ...w, type: 4 }] }, 'tensor w', /found type number 4/],
  [
    'rows that are no whole blocks',
    { tensors: [{ ...w, type: 2, shape: [32, 16] }] },
    'tensor w',
    /found rows of 16, wanted a multiple of 32 for Q4_0/,
  ],
  [
    'a scalar in blocks',
    { tensors: [{ ...w, type: 12, shape: [] }] },
    'tensor w',
    /found rows of 1, wanted a multiple of 256/,
  ],
  [
    'too many dimensions',
    { tensors: [{ ...w, shape: [1, 1, 1, 1, 2] }] },
    'tensor w',
    /found 5 dimensions, wanted at most 4/,
  ],
  [
    'a shape larger than any file',
    { tensors: [{ ...w, shape: [2 ** 40, 2 ** 40] }] },
    'tensor w',
    /wanted fewer than 2\^53 elements/,
  ],
  [
    'a shape with an endless side and none',
    { tensors: [{ ...w, shape: [2 ** 60, 0] }] },
    'tensor w',
    /found shape \[1152921504606847000, 0\], wanted fewer than 2\^53/,
  ],
  [
    'more data than the file has',
    { tensors: [{ ...w, shape: [2 ** 30] }] },
    'tensor w',
    /truncated: found \d+ bytes, wanted at least 4294967/,
  ],
  [
    'a hole',
    { tensors: [w, { ...w, name: 'v', offset: 64 }] },
    'tensor v',
    /hole: found data from byte 64, wanted it from byte 32/,
  ],
  [
    'an overlap',
    { tensors: [w, { ...w, name: 'v', offset: 0 }] },
    'tensor v',
    /overlap: found data from byte 0, wanted it from byte 32/,
  ],
  ['an offset beyond 2^53', { tensors: [{ ...w, offset: 2n ** 64n - 1n }] }, 'tensor w', /hole/],
  [
    'an alignment that is no power of two',
    { metadata: [['general.alignment', 24]] },
    'general.alignment',
    /found 24, wanted a power of two/,
  ],
  ['an alignment of 0', { metadata: [['general.alignment', 0]] }, 'general.alignment', /found 0/],
  [
    'an alignment that is text',
    { metadata: [['general.alignment', '32']] },
    'general.alignment',
    /found 32, wanted a power of two in 32 bits/,
  ],
  [
    'a part of a split model',
    { metadata: [['split.count', 3]] },
    'split.count',
    /found a file in 3 parts, wanted one whole/,
  ],
  [
    'a boolean that is neither',
    { metadata: [['b', { type: 7, bytes: Buffer.from([2]) }]] },
    'b',
    /found the boolean 2/,
  ],
  [
    'an unknown type of value',
    { metadata: [['b', { type: 13, bytes: Buffer.alloc(8) }]] },
    'b',
    /found a value of type 13/,
  ],
  [
    'an array of an unknown type',
    { metadata: [['b', array(13, 1, Buffer.alloc(8))]] },
    'b',
    /found a value of type 13/,
  ],
  [
    'text that is not UTF-8',
    { metadata: [['b', { type: 8, bytes: Buffer.from([1, 0, 0, 0, 0, 0, 0, 0, 0xff]) }]] },
    'b',
    /found bytes that are not UTF-8/,
  ],
  [
    'arrays nested deeply',
    {
      metadata: [
        [
          'b',
          Array.from({ length: 9 }).reduce<{ type: number; bytes: Uint8Array }>(
            (inner) => array(9, 1, inner.bytes),
            array(0, 0),
          ),
        ],
      ],
    },
    'b',
    /found deeper arrays/,
  ],
  [
    'a claim of endless tensors',
    { tensorCount: 2n ** 64n - 1n },
    'tensor_count',
    /truncated: found 18446744073709552000 times 24 bytes/,
  ],
  ['a claim of many tensors', { tensorCount: 1_000_000_000 }, 'tensor_count', /truncated/],
  ['a claim of endless metadata', { metadataCount: 2n ** 63n }, 'metadata_kv_count', /truncated/],
  [
    'a claim of an endless text',
    { metadata: [['b', { type: 8, bytes: Buffer.alloc(8, 0xff) }]] },
    'b',
    /truncated: found 18446744073709552000 bytes/,
  ],
  [
    'a claim of a text of a gigabyte',
    { metadata: [['b', { type: 8, bytes: number(8, (b) => b.writeBigUInt64LE(2n ** 30n)) }]] },
    'b',
    /truncated/,
  ],
  ['a claim of a gigabyte of numbers', { metadata: [['b', array(0, 2 ** 30)]] }, 'b', /truncated/],
  ['a claim of endless texts', { metadata: [['b', array(8, 2n ** 61n)]] }, 'b', /truncated/],
])('refuses %s', async (_what, parts, key, message) => {
  const opening = openGguf(await fileOf(ggufBytes(parts)), 'model.gguf');
  await expect(opening).rejects.toThrow(CheckpointError);
  await expect(opening).rejects.toThrow(message);
  await expect(opening).rejects.toMatchObject({ file: 'model.gguf', key });
});

test('refuses a file cut off anywhere', async () => {
  const bytes = ggufBytes({
    metadata: [
      ['a', 1],
      ['b', array(8, 1, new GgufBytes().text('x').build())],
    ],
    tensors: [w],
  });
  const path = await fileOf(bytes);
  for (let length = bytes.length - 32 + 7; length >= 0; length -= 3) {
    await truncate(path, length);
    await expect(openGguf(path, 'm'), `${length} bytes`).rejects.toThrow(/^m: .*truncated/);
  }
});

test('refuses a file that is no GGUF', async () => {
  await expect(openGguf(await fileOf(Buffer.from('{"weights": 1}')), 'm')).rejects.toThrow(
    'm: magic: not GGUF: found 0x6577227b, wanted 0x46554747',
  );
  await expect(openGguf(join(dir, 'none'), 'm')).rejects.toThrow(/found no such file/);
});

test('refuses a header above the limit, even in a file as large', async () => {
  const path = await fileOf(
    ggufBytes({ metadata: [['b', { type: 8, bytes: number(8, (b) => b.writeBigUInt64LE(70_000_000n)) }]] }),
  );
  // A hole on the disk: it takes no space.
  await truncate(path, 200_000_000);
  await expect(openGguf(path)).rejects.toThrow(/b: truncated: found 70000000 bytes, wanted at most the 67108/);
});
