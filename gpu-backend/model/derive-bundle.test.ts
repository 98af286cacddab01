import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { deriveBundle } from './derive-bundle.ts';
import { tinyBundle } from './fixtures/tiny-bundle.ts';
import { loadBundle } from './load-bundle.ts';
import { writeBundle } from './write-bundle.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'plimsoll-derive-'));
});
afterAll(() => rm(root, { recursive: true }));

test("a derived bundle has its base's sampling, unless it names its own, and the files that the base came from", async () => {
  const parts = tinyBundle();
  const files = [{ name: 'tiny.gguf', bytes: 7, sha256: '7'.repeat(64) }];
  const provenance = { description: 'imported', data: [], files };
  const from = join(root, 'base');
  await writeBundle(from, { ...parts, manifest: { ...parts.manifest, provenance, sampling: { temperature: 0.2 } } });
  const derived = async (name: string, more: object) => {
    await deriveBundle(join(root, name), { ...parts, from, manifest: { ...parts.manifest, ...more } });
    return loadBundle(join(root, name));
  };
  const plain = await derived('plain', {});
  expect(plain.sampling.temperature).toBe(0.2);
  expect(plain.manifest.provenance).toEqual({ ...parts.manifest.provenance, files });
  expect((await derived('own', { sampling: { temperature: 0.9 } })).sampling.temperature).toBe(0.9);
});
