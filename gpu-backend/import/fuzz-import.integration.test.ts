/**
 * Whatever the bytes of a source are: it becomes a bundle that loads, or an error that names a
 * file, in bounded time and memory, and then there is no bundle.
 */
import { existsSync } from 'node:fs';
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BundleError } from '#gpu-backend/model/bundle-error.ts';
import { loadBundle } from '#gpu-backend/model/load-bundle.ts';
import { mutatedBytes } from '#gpu-backend/model/testing/fuzz-reader.ts';
import { type ImportOptions, importModel } from './import-model.ts';
import { importBench } from './testing/import-tiny.ts';
import { ggufModel, tinyModel } from './testing/make-sources.ts';

const { place, folderOf, adaptersFor } = importBench('fuzz-import');
const parts = tinyModel({ num_hidden_layers: 1 });
const RUNS = 60;
/** Far more than these models need, far less than what a header may claim. */
const MOST_BYTES = 2 ** 27;
const MOST_MS = 20_000;

/** Returns whether the import worked. */
async function importAnything(source: string, experts: ImportOptions['experts'] = { safety: {}, helpfulness: {} }) {
  const out = place();
  const before = process.memoryUsage().arrayBuffers;
  try {
    await importModel({ source, out, id: 'm', experts });
    await loadBundle(out);
    return true;
  } catch (error) {
    if (!(error instanceof BundleError)) throw error;
    expect(existsSync(out)).toBe(false);
    return false;
  } finally {
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(MOST_BYTES);
    await rm(out, { recursive: true, force: true });
    await rm(`${out}.partial`, { recursive: true, force: true });
  }
}

const settings = { numRuns: RUNS, interruptAfterTimeLimit: 60_000, timeout: MOST_MS } as const;

test('a GGUF file with any bytes changed', async () => {
  const sound = ggufModel(parts, { type: 'Q4_0' });
  const file = `${place()}.gguf`;
  await writeFile(file, sound);
  expect(await importAnything(file)).toBe(true);
  await fc.assert(
    fc.asyncProperty(mutatedBytes(sound), async (bytes) => {
      await writeFile(file, bytes);
      await importAnything(file);
    }),
    settings,
  );
});

/** The metadata come first, and most mutations of the whole file fall into the weights. */
test('a GGUF file with any of its metadata changed', async () => {
  const sound = ggufModel(parts);
  const head = sound.subarray(0, sound.indexOf('tokenizer.ggml.tokens'));
  const file = `${place()}.gguf`;
  await fc.assert(
    fc.asyncProperty(mutatedBytes(head), async (bytes) => {
      await writeFile(file, Buffer.concat([bytes, sound.subarray(head.length)]));
      await importAnything(file);
    }),
    settings,
  );
});

test.each([
  'config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'chat_template.jinja',
  'model.safetensors.index.json',
  'model-00002-of-00002.safetensors',
])('a folder with any bytes of %s changed', async (name) => {
  const folder = await folderOf(parts, { shards: 2 });
  const sound = await readFile(join(folder, name));
  await fc.assert(
    fc.asyncProperty(mutatedBytes(sound), async (bytes) => {
      await writeFile(join(folder, name), bytes);
      await importAnything(folder);
    }),
    { ...settings, numRuns: RUNS / 2 },
  );
});

test.each(['adapter_config.json', 'adapter_model.safetensors'])(
  'an adapter with any bytes of %s changed',
  async (name) => {
    const source = await folderOf(parts);
    const { safety } = await adaptersFor(parts);
    const adapter = place();
    await cp(safety.adapter!, adapter, { recursive: true });
    const sound = await readFile(join(adapter, name));
    await fc.assert(
      fc.asyncProperty(mutatedBytes(sound), async (bytes) => {
        await writeFile(join(adapter, name), bytes);
        await importAnything(source, { safety: { adapter }, helpfulness: {} });
      }),
      { ...settings, numRuns: RUNS / 2 },
    );
  },
);

test.each([
  ['num_hidden_layers', 2 ** 40],
  ['vocab_size', 2 ** 40],
  ['hidden_size', 2 ** 40],
  ['max_position_embeddings', 2 ** 40],
])('a config that claims %s %d makes nothing of that size', async (key, value) => {
  const folder = await folderOf(parts, { config: { [key]: value } });
  expect(await importAnything(folder)).toBe(key === 'max_position_embeddings');
});
