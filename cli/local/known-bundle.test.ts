import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ggufModel, tinyModel } from '#gpu-backend/import/testing/make-sources.ts';
import { writeExpertsFolder } from '#gpu-backend/model/write-experts-folder.ts';
import type { KnownModel } from '#gpu-backend/pull/known-models.ts';
import { type KnownBundleOptions, knownBundle } from './known-bundle.ts';

const GGUF = ggufModel(tinyModel({ max_position_embeddings: 2048 }));
const MODEL: KnownModel = {
  what: 'a test',
  licence: 'Apache-2.0',
  file: { name: 'tiny.gguf', bytes: GGUF.length, sha256: createHash('sha256').update(GGUF).digest('hex') },
  wheel: { package: 'plimsoll-tiny', version: '1.0', bytes: 1, sha256: '0'.repeat(64), member: 'tiny.gguf' },
  hub: null,
};

let dir: string;
let from: string;
let bundle: string;
const log = vi.fn<(message: string) => void>();
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-known-'));
  from = path.join(dir, 'mine.gguf');
  bundle = path.join(dir, 'cache/bundles/tiny');
  await writeFile(from, GGUF);
  log.mockClear();
  vi.spyOn(console, 'error').mockReturnValue();
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(dir, { recursive: true });
});

function look(options: Partial<KnownBundleOptions> = {}) {
  const sources = { models: { tiny: MODEL }, from };
  const env = { PLIMSOLL_CACHE: path.join(dir, 'cache') };
  const signal = new AbortController().signal;
  return knownBundle({ env, pull: true, signal, log, name: 'tiny', sources, ...options });
}
const said = () => log.mock.calls.map(([line]) => line);

test('a bundle is made once, and then found in silence, whether or not a pull is allowed', async () => {
  expect(await look()).toMatchObject({ dir: bundle, trained: false });
  expect(said()).toEqual([expect.stringMatching(/^fetching tiny, .* MB, once \(--no-pull: without it\)/)]);
  log.mockClear();
  expect(await look({ pull: false })).toMatchObject({ dir: bundle });
  expect(await look({ sources: { models: { tiny: MODEL }, from: '/nowhere' } })).toMatchObject({ dir: bundle });
  expect(said()).toEqual([]);
});

test('a bundle that is gone is made again from the file in the cache, and the log says so', async () => {
  await look();
  await rm(bundle, { recursive: true });
  log.mockClear();
  expect(await look({ sources: { models: { tiny: MODEL } } })).toMatchObject({ dir: bundle });
  expect(said()).toEqual([expect.stringMatching(/^importing tiny: its file is in the cache, but no bundle/)]);
});

test('a folder of experts that is broken, or that belongs on another file, is one line', async () => {
  const experts = path.join(dir, 'experts');
  await mkdir(experts);
  const broken = { models: { tiny: { ...MODEL, experts } }, from };
  expect(await look({ sources: broken })).toBeNull();
  expect(said()).toEqual([expect.stringMatching(/^goes on without tiny: .*experts\.json: /)]);
  log.mockClear();
  const parts = tinyModel();
  const base = { sha256: '1'.repeat(64), files: [{ name: 'other.gguf', bytes: 1, sha256: '2'.repeat(64) }] };
  const { provenance, licence } = parts.manifest;
  await writeExpertsFolder(experts, { ...parts, manifest: { base, default_weight: 0.5, licence, provenance } });
  expect(await look({ sources: broken })).toBeNull();
  expect(said()).toEqual([
    `goes on without tiny: ${path.join(experts, 'experts.json')}: base.files: found other.gguf, ${'2'.repeat(64)}, ` +
      `wanted tiny.gguf, ${MODEL.file.sha256}, which is the model that is pulled; train the experts on it ` +
      '(docs/training.md), or move the folder away',
  ]);
});

test('where nothing may be fetched, nothing is written', async () => {
  expect(await look({ pull: false })).toBeNull();
  expect(said()).toEqual(['goes on without tiny: it is not in the cache, and this start fetches nothing']);
  expect(await readdir(dir)).toEqual(['mine.gguf']);
});

test('without Python, one line says so, and how to get the model', async () => {
  const python = { pythons: ['no-such-python'] };
  expect(await look({ sources: { models: { tiny: MODEL }, python } })).toBeNull();
  expect(said().slice(1)).toEqual([
    'goes on without tiny: it could not be fetched (there is no Python here (no-such-python)); ' +
      '"npx plimsoll model pull tiny --from FILE" takes it from a file',
  ]);
});

test('a cache that cannot be written is one line too', async () => {
  const env = { PLIMSOLL_CACHE: path.join(from, 'cache') };
  expect(await look({ env })).toBeNull();
  expect(said().slice(1)).toEqual([expect.stringMatching(/^goes on without tiny: the cache .* cannot be written/)]);
});

test.skipIf(process.platform === 'win32')('after its time it gives up, and keeps what is finished', async () => {
  // A Python that never ends stands for a slow network.
  const python = path.join(dir, 'slow-python');
  await writeFile(python, '#!/bin/sh\nexec sleep 600\n', { mode: 0o755 });
  const sources = { models: { tiny: MODEL }, python: { pythons: [python] } };
  expect(await look({ sources, patienceMs: 100 })).toBeNull();
  const kept = path.join(dir, 'cache');
  expect(said().slice(1)).toEqual([
    `goes on without tiny: 0.1 s were not enough; what is finished is kept in ${kept} for next time`,
  ]);
  expect(await readdir(path.join(kept, 'blobs'))).toEqual([]);
});

test('when the stack is told to stop, the pull ends with that reason', async () => {
  const stop = new AbortController();
  stop.abort(new Error('told to'));
  await expect(look({ signal: stop.signal })).rejects.toThrow('told to');
});
