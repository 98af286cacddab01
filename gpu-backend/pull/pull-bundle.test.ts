import { createHash } from 'node:crypto';
import { cp, mkdtemp, readdir, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Hub } from '../download/hub.ts';
import { ggufModel, tinyModel } from '../import/testing/make-sources.ts';
import { blobFile } from '../model/blob-store.ts';
import { type CacheFolder, cacheFolder } from '../model/cache-folder.ts';
import { loadBundle } from '../model/load-bundle.ts';
import { writeExpertsFolder } from '../model/write-experts-folder.ts';
import type { KnownModel } from './known-models.ts';
import { findBundle, type PullBundleOptions, pullBundle } from './pull-bundle.ts';

const PARTS = tinyModel({ max_position_embeddings: 2048 });
const GGUF = ggufModel(PARTS);
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

describe('with experts of our own', () => {
  let experts: string;
  let withExperts: { tiny: KnownModel };
  const write = async (safety = PARTS.experts[0]!, baseSha256?: string) => {
    const { manifest } = await loadBundle(path.join(cache.bundles, 'tiny'));
    const bytes = await readFile(path.join(cache.bundles, 'tiny/model.safetensors'));
    const base = {
      sha256: baseSha256 ?? createHash('sha256').update(bytes).digest('hex'),
      files: manifest.provenance.files!,
    };
    await writeExpertsFolder(experts, {
      ...PARTS,
      experts: [safety, PARTS.experts[1]!],
      manifest: { base, default_weight: 0.5, licence: 'Apache-2.0', provenance: PARTS.manifest.provenance },
    });
  };
  beforeEach(async () => {
    experts = path.join(dir, 'experts');
    withExperts = { tiny: { ...MODEL, experts } };
    await pull({ models: withExperts });
  });

  test('it has a prompt as long as there is no such folder, and the experts once there is', async () => {
    const found = () => findBundle('tiny', { cache, models: withExperts });
    expect(await found()).toMatchObject({ trained: false });
    await write();
    expect(await found()).toBeNull();
    expect(await pull({ models: withExperts })).toMatchObject({ source: 'the cache', trained: true });
    expect(await found()).toMatchObject({ trained: true });
    const { manifest, experts: both, prompts } = await loadBundle(path.join(cache.bundles, 'tiny'));
    expect(both.map(({ rank }) => rank)).toEqual([4, 4]);
    expect(prompts).toEqual({});
    expect(manifest.provenance).toMatchObject({
      description: 'tiny.gguf: a test. Imported by plimsoll model pull, with experts that were trained on it.',
      files: [{ sha256 }],
      experts: { description: 'Random numbers.', digest: expect.stringMatching(/^[0-9a-f]{64}$/) },
    });
  });

  test('it is made again when an expert changes, and not when only the card does', async () => {
    await write();
    await pull({ models: withExperts });
    const before = await made();
    await writeFile(path.join(experts, 'README.md'), '# card');
    expect(await findBundle('tiny', { cache, models: withExperts })).not.toBeNull();
    await write({ ...PARTS.experts[0]!, alpha: 3 });
    expect(await findBundle('tiny', { cache, models: withExperts })).toBeNull();
    await pull({ models: withExperts });
    expect(await made()).not.toBe(before);
  });

  test('a text that is asked for counts instead', async () => {
    await write();
    expect(await pull({ models: withExperts, safetyPrompt: 'Be careful.' })).toMatchObject({ trained: false });
  });

  test('experts of another base are refused, with both digests', async () => {
    await write(PARTS.experts[0]!, '1'.repeat(64));
    const refused = pull({ models: withExperts });
    await expect(refused).rejects.toThrow(`wanted ${'1'.repeat(64)} (from ${sha256})`);
    await expect(refused).rejects.toThrow(/found a base whose model\.safetensors has the SHA-256 [0-9a-f]{64} \(from /);
  });
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
