import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { assertRoom } from './disk-full.ts';
import { readSafetensors } from './read-safetensors.ts';
import { layOutSafetensors, type PlannedTensor, SafetensorsWriter } from './safetensors-writer.ts';
import { safetensorsBytes } from './testing/make-safetensors.ts';
import { writeSafetensors } from './write-safetensors.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'safetensors-writer-'));
});
afterAll(() => rm(dir, { recursive: true }));

const planned: PlannedTensor[] = [
  { name: 'a', dtype: 'F32', shape: [2, 2] },
  { name: 'none', dtype: 'F32', shape: [0, 3] },
  { name: 'b', dtype: 'F16', shape: [3] },
  { name: 'c', dtype: 'U8', shape: [1] },
];
const bytesOf = (name: string) => Uint8Array.from({ length: { a: 16, none: 0, b: 6, c: 1 }[name]! }, (_, i) => i + 1);

test('writes the bytes that the format says, whatever the order of the tensors', async () => {
  const path = join(dir, 'any-order');
  const layout = layOutSafetensors(planned);
  const writer = await SafetensorsWriter.open(path, layout);
  for (const name of ['c', 'none', 'a', 'b']) await writer.write(name, bytesOf(name));
  await writer.close();
  const header = {
    __metadata__: { format: 'pt' },
    a: { dtype: 'F32', shape: [2, 2], data_offsets: [0, 16] },
    none: { dtype: 'F32', shape: [0, 3], data_offsets: [16, 16] },
    b: { dtype: 'F16', shape: [3], data_offsets: [16, 22] },
    c: { dtype: 'U8', shape: [1], data_offsets: [22, 23] },
  };
  const json = JSON.stringify(header);
  const padded = json.padEnd(Math.ceil(json.length / 8) * 8);
  const data = Buffer.concat(planned.map(({ name }) => bytesOf(name)));
  const file = await readFile(path);
  expect(file).toEqual(safetensorsBytes(padded, data));
  expect(file).toHaveLength(layout.bytes);
});

test('goes on with a file that was left half written', async () => {
  const [path, whole] = [join(dir, 'half'), join(dir, 'whole')];
  const tensors = new Map(['a', 'b'].map((name, i) => [name, { shape: [2], data: Float32Array.of(i, i + 0.5) }]));
  await writeSafetensors(whole, tensors, { dtype: 'f32' });
  const layout = layOutSafetensors([...tensors].map(([name, { shape }]) => ({ name, dtype: 'F32', shape })));
  for (const [name, { data }] of tensors) {
    const writer = await SafetensorsWriter.open(path, layout, { resume: name === 'b' });
    await writer.write(name, new Uint8Array(data.buffer));
    await writer.close();
  }
  expect(await readFile(path)).toEqual(await readFile(whole));
  expect(await readSafetensors(path)).toEqual(tensors);
});

test('refuses a tensor that the header does not have, and one of another size', async () => {
  const writer = await SafetensorsWriter.open(join(dir, 'wrong'), layOutSafetensors(planned), { file: 'm' });
  await expect(writer.write('d', new Uint8Array())).rejects.toThrow('m: tensor d: wanted a tensor of the header');
  await expect(writer.write('a', new Uint8Array(15))).rejects.toThrow(
    'm: tensor a: found 15 bytes, wanted 16 for F32 [2, 2]',
  );
  await writer.close();
});

// Every write to this device fails as on a full disk.
test.runIf(process.platform === 'linux')('a full disk is an error that names the file and the bytes', async () => {
  const open = SafetensorsWriter.open('/dev/full', layOutSafetensors(planned), { file: 'model.safetensors' });
  await expect(open).rejects.toThrow(
    /^model\.safetensors: the disk is full \(ENOSPC\): found [\d,]+ bytes free, wanted \d+ more$/,
  );
});

test('no room for a file is an error before anything is written', async () => {
  const room = (bytes: number) => assertRoom({ file: 'model.safetensors', path: dir, bytes });
  await room(1);
  await expect(room(2 ** 50)).rejects.toThrow(
    /^model\.safetensors: the disk is too full: found [\d,]+ bytes free, wanted 1,125,899,906,842,624 more$/,
  );
});
