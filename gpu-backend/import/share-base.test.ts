import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { OnnxExperts } from '#gpu-backend/engine/onnx-experts.ts';
import { loadBundle, openBundle } from '#gpu-backend/model/load-bundle.ts';
import { describeBundle } from '../inspect/describe-bundle.ts';
import { importBench } from './testing/import-tiny.ts';
import { tinyModel } from './testing/make-sources.ts';

const { folderOf, imported } = importBench('share-base');

let cache: string;
let source: string;
beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), 'share-base-cache-'));
  vi.stubEnv('PLIMSOLL_CACHE', cache);
  source = await folderOf(tinyModel({ max_position_embeddings: 2048 }));
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await rm(cache, { recursive: true });
});

let dir: string;
let base: { sha256: string; bytes: number };
let file: string;
beforeEach(async () => {
  await rm(join(cache, 'blobs'), { recursive: true, force: true });
  dir = await imported(source, { shareBase: true });
  base = (await manifestOf(dir)).base;
  file = join(cache, 'blobs', base.sha256);
});

const manifestOf = async (bundle: string) => JSON.parse(await readFile(join(bundle, 'plimsoll.json'), 'utf8'));

test('bundles with other experts share one file', async () => {
  const prompted = await imported(source, {
    shareBase: true,
    experts: { safety: { prompt: 'Be careful.' }, helpfulness: {} },
  });
  expect((await manifestOf(prompted)).base).toEqual(base);
  expect((await readdir(join(cache, 'blobs'))).sort()).toEqual([base.sha256, `${base.sha256}.json`]);
  for (const bundle of [dir, prompted]) expect(existsSync(join(bundle, 'model.safetensors'))).toBe(false);
  expect((await openBundle(prompted)).digest).not.toBe((await openBundle(dir)).digest);
});

test('a shared base loads as one in the folder, and serves', async () => {
  const alone = await loadBundle(await imported(source));
  const shared = await loadBundle(dir);
  expect(shared.weights).toEqual(alone.weights);
  const served = await openBundle(dir);
  expect(served.digest).toBe(shared.digest);
  expect(served.digest).not.toBe(alone.digest);
  const logits = await Promise.all([alone, served].map(firstLogits));
  expect(logits[1]).toEqual(logits[0]);
});

async function firstLogits(bundle: Parameters<typeof OnnxExperts.create>[0]) {
  const experts = await OnnxExperts.create(bundle, { threads: 1 });
  const [output] = await Promise.all(experts.append([{ sequence: experts.open('safety'), ids: [10, 47, 84] }]));
  await experts.dispose();
  return output!.row;
}

test('a check says where the base is', async () => {
  const lines = await describeBundle(dir, await openBundle(dir));
  expect(lines).toContainEqual(['base', `shared with other bundles, in ${file}`]);
});

const both = [
  ['served', openBundle],
  ['loaded', loadBundle],
] as const;

test.each(both)('a missing base, %s: the error says which, and what to type', async (_, load) => {
  await rm(file);
  const wanted = `model.safetensors: found no file ${file}, wanted the base with the SHA-256 ${base.sha256}`;
  await expect(load(dir)).rejects.toThrow(wanted);
  await expect(load(dir)).rejects.toThrow('npx plimsoll model import SOURCE --share-base');
});

test.each(both)('a base cut short, %s: the error has both sizes', async (_, load) => {
  await truncate(file, 1000);
  await expect(load(dir)).rejects.toThrow(`${file} is damaged: found 1000 bytes, wanted ${base.bytes}`);
});

test.each([
  ['its header', 12, 0x7f],
  ['a number', -8, 0x01],
  ['a number that becomes NaN', -1, 0xff],
])('a base with other bytes in %s: the error has both digests, whatever the record says', async (_, at, byte) => {
  const { atime, mtime } = await stat(file);
  const bytes = await readFile(file);
  bytes[at < 0 ? bytes.length + at : at]! ^= byte;
  if (byte === 0xff) bytes.fill(0xff, bytes.length - 4);
  await writeFile(file, bytes);
  await utimes(file, atime, mtime);
  for (const [, load] of both) {
    await expect(load(dir)).rejects.toThrow(
      /is damaged: found SHA-256 [0-9a-f]{64}, wanted [0-9a-f]{64}; delete it, then/,
    );
  }
});

test('importing again mends a base that was deleted', async () => {
  const { digest } = await openBundle(dir);
  await rm(file);
  await imported(source, { shareBase: true });
  expect((await openBundle(dir)).digest).toBe(digest);
});

test('weights in the folder beside a shared base are refused: nobody would serve them', async () => {
  await writeFile(join(dir, 'model.safetensors'), await readFile(file));
  const problem = `plimsoll.json: base: found the SHA-256 ${base.sha256} of shared weights, but there is model.safetensors`;
  await expect(openBundle(dir)).rejects.toThrow(problem);
});

test.each([{ sha256: 'ABC' }, { bytes: 0 }, { name: 'x' }])('refuses a manifest with %o in its base', async (wrong) => {
  await writeFile(
    join(dir, 'plimsoll.json'),
    JSON.stringify({ ...(await manifestOf(dir)), base: { ...base, ...wrong } }),
  );
  await expect(openBundle(dir)).rejects.toThrow('plimsoll.json: base');
});
