import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CheckpointError } from './checkpoint-error.ts';
import { openShardedSafetensors } from './open-sharded-safetensors.ts';
import { encodeSafetensors } from './testing/make-safetensors.ts';
import { CONTRACT_TENSORS, testTensorSource } from './testing/tensor-source-contract.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'sharded-safetensors-'));
});
afterAll(() => rm(root, { recursive: true }));

const SHARDS = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'] as const;
const one = (value: number) => ({ shape: [1], data: Float32Array.of(value) });

/** Writes shards with the given tensors, one number each, and an index beside them. */
async function checkpoint(shards: Record<string, string[]>, index: unknown): Promise<string> {
  const dir = await mkdtemp(join(root, 'checkpoint-'));
  for (const [shard, names] of Object.entries(shards)) {
    const tensors = new Map(names.map((name, i) => [name, one(i)]));
    await writeFile(join(dir, shard), encodeSafetensors(tensors, 'F32'));
  }
  const path = join(dir, 'model.safetensors.index.json');
  await writeFile(path, typeof index === 'string' ? index : JSON.stringify(index));
  return path;
}

testTensorSource('safetensors in two shards', {
  create: async () => {
    const dir = await mkdtemp(join(root, 'contract-'));
    const weightMap: Record<string, string> = {};
    for (const [i, shard] of SHARDS.entries()) {
      const tensors = new Map([...CONTRACT_TENSORS].filter((_, at) => at % 2 === i));
      for (const name of tensors.keys()) weightMap[name] = shard;
      await writeFile(join(dir, shard), encodeSafetensors(tensors, 'BF16'));
    }
    const path = join(dir, 'model.safetensors.index.json');
    await writeFile(path, JSON.stringify({ metadata: { total_size: 576 }, weight_map: weightMap }));
    return openShardedSafetensors(path);
  },
  dtype: 'BF16',
  bytes: (elements) => elements * 2,
});

const [FIRST, SECOND] = SHARDS;
const SOUND = { [FIRST]: ['v'], [SECOND]: ['w'] };
const weightMap = (map: unknown) => ({ weight_map: map });

test.each<[what: string, shards: Record<string, string[]>, index: unknown, fault: object]>([
  ['a missing shard', { [FIRST]: ['v'] }, weightMap({ v: FIRST, w: SECOND }), { file: SECOND, found: 'no such file' }],
  [
    'a tensor in another shard than the map says',
    { [FIRST]: ['v', 'w'], [SECOND]: ['x'] },
    weightMap({ v: FIRST, w: SECOND, x: SECOND }),
    { key: 'tensor w', found: `it in ${FIRST}`, wanted: `it in ${SECOND}, as weight_map says` },
  ],
  [
    'a tensor in two shards',
    { [FIRST]: ['v', 'w'], [SECOND]: ['w'] },
    weightMap({ v: FIRST, w: SECOND }),
    { key: 'tensor w', found: `it in ${FIRST} and in ${SECOND}`, wanted: 'it in one shard' },
  ],
  [
    'a tensor in no shard',
    SOUND,
    weightMap({ v: FIRST, w: SECOND, x: SECOND }),
    { key: 'tensor x', found: 'it in no shard' },
  ],
  [
    'a tensor that the map leaves out',
    { [FIRST]: ['v', 'x'], [SECOND]: ['w'] },
    weightMap({ v: FIRST, w: SECOND }),
    { key: 'tensor x', found: `it in ${FIRST}`, wanted: 'it in weight_map too' },
  ],
  [
    'a map with the same tensor twice',
    SOUND,
    `{"weight_map":{"v":"${FIRST}","w":"${SECOND}","v":"${SECOND}"}}`,
    { key: 'index', found: 'the key v twice' },
  ],
  ['a path out of the folder', SOUND, weightMap({ v: '../v.safetensors' }), { key: 'weight_map: v' }],
  ['an absolute path', SOUND, weightMap({ v: '/etc/v.safetensors' }), { key: 'weight_map: v' }],
  ['a path with backslashes', SOUND, weightMap({ v: '..\\v.safetensors' }), { key: 'weight_map: v' }],
  ['a shard of another kind', SOUND, weightMap({ v: 'pytorch_model.bin' }), { found: '"pytorch_model.bin"' }],
  ['a shard that is no text', SOUND, weightMap({ v: 1 }), { key: 'weight_map: v', found: '1' }],
  ['an index without a map', SOUND, {}, { key: 'weight_map', found: 'nothing' }],
  ['a map that is a list', SOUND, weightMap([FIRST]), { key: 'weight_map' }],
  ['an index that is not JSON', SOUND, 'weights', { key: 'index', found: 'no JSON' }],
])('refuses %s', async (_what, shards, index, fault) => {
  const opening = openShardedSafetensors(await checkpoint(shards, index), 'index.json');
  await expect(opening).rejects.toThrow(CheckpointError);
  await expect(opening).rejects.toMatchObject({ file: 'index.json', ...fault });
});

test('a fault inside a shard names the shard', async () => {
  const path = await checkpoint(SOUND, weightMap({ v: FIRST, w: SECOND }));
  await writeFile(join(path, '..', SECOND), 'short');
  await expect(openShardedSafetensors(path)).rejects.toThrow(`${SECOND}: truncated within the header length`);
});
