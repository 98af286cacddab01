/**
 * What every driver of `TensorSource` promises. A driver's own test file calls this once for each
 * kind of file it reads, and adds its oddities.
 */
import { expect, test } from 'vitest';
import { CheckpointError } from '../checkpoint-error.ts';
import { elementCount, type Tensor } from '../tensor.ts';
import type { TensorSource } from '../tensor-source.ts';

const halves = (count: number, scale: number) => Float32Array.from({ length: count }, (_, i) => (i % 127) * scale - 8);

/** Numbers that F16, BF16 and Q8_0 hold exactly. The last dimension is a multiple of any block. */
export const CONTRACT_TENSORS: ReadonlyMap<string, Tensor> = new Map([
  ['b.weight', { shape: [3, 32], data: halves(96, 0.125) }],
  ['a.bias', { shape: [64], data: halves(64, 0.25) }],
  ['model.layers.0.weight', { shape: [2, 2, 32], data: halves(128, 0.125) }],
]);

export function testTensorSource(
  driver: string,
  /** `create` writes `CONTRACT_TENSORS` to a new file and opens it. `bytes` is a tensor's size. */
  { create, dtype, bytes }: { create: () => Promise<TensorSource>; dtype: string; bytes: (elements: number) => number },
): void {
  const using = (what: string, body: (source: TensorSource) => Promise<void>) =>
    test(`${driver}: ${what}`, async () => {
      const source = await create();
      try {
        await body(source);
      } finally {
        await source.close();
      }
    });

  using('lists every tensor once, with type, shape and size', async (source) => {
    expect(source.names().sort()).toEqual([...CONTRACT_TENSORS.keys()].sort());
    for (const [name, { shape }] of CONTRACT_TENSORS) {
      expect(source.info(name)).toEqual({ dtype, shape, bytes: bytes(elementCount(shape)) });
    }
  });

  using('reads the numbers that were written, in any order and all at once', async (source) => {
    const names = [...CONTRACT_TENSORS.keys()].reverse();
    const read = await Promise.all(names.map((name) => source.read(name)));
    expect(read).toEqual(names.map((name) => CONTRACT_TENSORS.get(name)!.data));
  });

  using('gives as many raw bytes as it announces', async (source) => {
    for (const name of source.names()) {
      expect((await source.readBytes(name)).byteLength).toBe(source.info(name).bytes);
    }
  });

  using('what a caller does to a result does not change the next one', async (source) => {
    const [name] = source.names();
    const before = Float32Array.from(await source.read(name!));
    (await source.read(name!)).fill(1);
    (await source.readBytes(name!)).fill(1);
    source.info(name!).shape.push(7);
    source.names().push('another');
    expect(await source.read(name!)).toEqual(before);
    expect(source.info(name!).shape).toEqual(CONTRACT_TENSORS.get(name!)!.shape);
    expect(source.names()).toHaveLength(CONTRACT_TENSORS.size);
  });

  using('refuses a name that it does not have, and says which', async (source) => {
    const fault = expect.objectContaining({ file: source.file, key: 'tensor __proto__' });
    expect(() => source.info('__proto__')).toThrow(CheckpointError);
    expect(() => source.info('__proto__')).toThrow(fault);
    await expect(source.read('__proto__')).rejects.toThrow(fault);
    await expect(source.readBytes('__proto__')).rejects.toThrow(fault);
  });

  using('closes twice, and refuses to read afterwards', async (source) => {
    const [name] = source.names();
    await source.close();
    await source.close();
    await expect(source.read(name!)).rejects.toThrow(CheckpointError);
    await expect(source.readBytes(name!)).rejects.toThrow(/found a closed file/);
  });
}
