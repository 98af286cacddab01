import { createHash } from 'node:crypto';
import { cp, mkdtemp, readdir, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Hub } from '../download/hub.ts';
import { ggufModel, tinyModel } from '../import/testing/make-sources.ts';
import { blobFile } from '../model/blob-store.ts';
import { type CacheFolder, cacheFolder } from '../model/cache-folder.ts';
import { loadBundle } from '../model/load-bundle.ts';
import type { KnownModel } from './known-models.ts';
import { findBundle, type PullBundleOptions, pullBundle } from './pull-bundle.ts';

const GGUF = ggufModel(tinyModel({ max_position_embeddings: 2048 }));
const sha256 = createHash('sha256').update(GGUF).digest('hex');
const MODEL: KnownModel = {
  what: 'a test',
  licence: 'Apache-2.0',
  file: { name: 'tiny.gguf', bytes: GGUF.length, sha256 },
  wheel: null,
  hub: null,
};
const models = { tiny: MODEL };

let dir: string;
let cache: CacheFolder;
let from: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-pull-bundle-'));
  cache = cacheFolder({ PLIMSOLL_CACHE: path.join(dir, 'cache') });
  from = path.join(dir, 'mine.gguf');
  await writeFile(from, GGUF);
});
afterEach(() => rm(dir, { recursive: true }));

function pull(options: Partial<PullBundleOptions> = {}) {
  const retrying = { sleep: async () => {}, random: () => 1, note: () => {} };
  const hub = new Hub({ ...retrying, endpoint: 'http://127.0.0.1:1', token: null, kind: 'model', fetch });
  const onFile = () => ({ onBytes: () => {}, done: () => {} });
  return pullBundle('tiny', { cache, from, hub, retrying, sending: { fetch }, onFile, models, ...options });
}
const made = async () => (await stat(path.join(cache.bundles, 'tiny/plimsoll.json'))).mtimeMs;

test('it is the base for helpfulness and the base under a prompt for safety, and says what it was made from', async () => {
  const { dir: folder, source } = await pull();
  expect([folder, source]).toEqual([path.join(cache.bundles, 'tiny'), from]);
  const { manifest, prompts } = await loadBundle(folder);
  expect(manifest).toMatchObject({
    id: 'tiny',
    experts: [
      { role: 'safety', adapter: false, prompt: true },
      { role: 'helpfulness', adapter: false },
    ],
    licence: 'Apache-2.0',
    provenance: { data: [{ name: 'tiny.gguf', licence: 'Apache-2.0' }], files: [{ sha256 }] },
  });
  expect(prompts).toEqual({ safety: expect.stringContaining('You') });
  expect((await readdir(cache.bundles)).toSorted()).toEqual(['tiny', 'tiny.json']);
});

test('an intact bundle is found again without its file, even after its folder was copied', async () => {
  await pull();
  const before = await made();
  await rm(blobFile(cache, sha256));
  expect(await pull({ from: undefined })).toMatchObject({ source: 'the cache' });
  const copy = cacheFolder({ PLIMSOLL_CACHE: path.join(dir, 'copy') });
  await cp(cache.dir, copy.dir, { recursive: true });
  expect(await findBundle('tiny', { cache: copy, models })).toMatchObject({ dir: path.join(copy.bundles, 'tiny') });
  expect(await made()).toBe(before);
});

test('two at once make one bundle', async () => {
  const sources = (await Promise.all([pull(), pull()])).map(({ source }) => source);
  expect(sources.toSorted()).toEqual([from, 'the cache'].toSorted());
});

const WEIGHTS = 'tiny/model.safetensors';
test.each<[string, () => Promise<unknown>, Partial<PullBundleOptions>]>([
  ['a file was cut off', () => truncate(path.join(cache.bundles, WEIGHTS), 100), {}],
  ['a byte was changed', () => damage(path.join(cache.bundles, WEIGHTS)), {}],
  ['a file is missing', () => rm(path.join(cache.bundles, 'tiny/plimsoll.json')), {}],
  ['the record is missing', () => rm(path.join(cache.bundles, 'tiny.json')), {}],
  ['the prompt is another one', async () => {}, { safetyPrompt: 'Be careful.' }],
  ['the model is another one', async () => {}, { models: { tiny: { ...MODEL, licence: 'MIT' } } }],
])('a bundle is made again if %s', async (_, change, options) => {
  await pull();
  await change();
  const { source } = await pull(options);
  expect(source).toBe('the cache');
  const bundle = await loadBundle(path.join(cache.bundles, 'tiny'));
  expect(bundle.prompts.safety).toContain(options.safetyPrompt ?? 'You');
  expect(bundle.manifest.licence).toBe(options.models === undefined ? 'Apache-2.0' : 'MIT');
  expect(await findBundle('tiny', { cache, models, ...options })).not.toBeNull();
});

test('a pull that is stopped leaves no bundle, and the next one makes it', async () => {
  const stop = new AbortController();
  const retrying = { sleep: async () => {}, random: () => 1, note: () => {}, signal: stop.signal };
  const onImport = () => stop.abort(new Error('enough'));
  await expect(pull({ retrying, onImport })).rejects.toThrow('enough');
  expect(await findBundle('tiny', { cache, models })).toBeNull();
  expect(await pull({ from: undefined })).toMatchObject({ source: 'the cache' });
});

test('a name that is not known is refused before anything is written', async () => {
  const retrying = { sleep: async () => {}, random: () => 1, note: () => {} };
  const hub = new Hub({ ...retrying, endpoint: 'http://127.0.0.1:1', token: null, kind: 'model', fetch });
  const onFile = () => ({ onBytes: () => {}, done: () => {} });
  const options = { cache, hub, retrying, sending: { fetch }, onFile, models };
  await expect(pullBundle('../tiny', options)).rejects.toThrow('there is no model called "../tiny" here; there is');
  expect(await readdir(dir)).toEqual(['mine.gguf']);
});

/** Changes the last byte, and the time of the file with it. */
async function damage(file: string): Promise<void> {
  const bytes = await readFile(file);
  bytes[bytes.length - 1]! ^= 1;
  await writeFile(file, bytes);
  await utimes(file, new Date(0), new Date(0));
}
