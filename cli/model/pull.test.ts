import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { HubServer } from '#gpu-backend/download/testing/hub-server.ts';
import { KNOWN_MODELS } from '#gpu-backend/pull/known-models.ts';
import { pull } from './pull.ts';

const COMMIT = '1'.repeat(40);
const FILES = {
  'config.json': { bytes: Buffer.from('{}'), lfs: false },
  'model.safetensors': { bytes: Buffer.from('weights'), lfs: true },
};

let dir: string;
let server: HubServer;
const said: string[] = [];
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-pull-'));
  server = await HubServer.start({ repo: 'someone/tiny', revisions: { main: COMMIT }, files: FILES });
  said.length = 0;
  vi.spyOn(console, 'log').mockImplementation((line: string) => void said.push(line));
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  vi.stubEnv('PLIMSOLL_CACHE', dir);
  vi.stubEnv('HF_TOKEN', '');
  vi.stubEnv('HF_ENDPOINT', server.endpoint);
});
afterEach(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  await server.stop();
  await rm(dir, { recursive: true });
});
const run = (...args: string[]) => pull().exitOverride().parseAsync(args, { from: 'user' });

test('pulls a repository of HF_ENDPOINT into PLIMSOLL_CACHE, and prints how to import it', async () => {
  vi.stubEnv('HF_TOKEN', 'hf_secret');
  await run('hub:someone/tiny@main');
  const folder = path.join(dir, 'hub/someone/tiny', COMMIT);
  expect(await readFile(path.join(folder, 'model.safetensors'), 'utf8')).toBe('weights');
  expect(said[0]!.split('\n')).toEqual([
    `hub:someone/tiny@main: ${folder}`,
    `  2 files, 0.0 MB, commit ${COMMIT}`,
    `  npx plimsoll model import ${folder} --safety prompt --out DIR`,
  ]);
  expect(server.requests[0]!.headers.authorization).toBe('Bearer hf_secret');
});

test('says of an adapter that it needs a base', async () => {
  const bytes = Buffer.from('{}');
  const files = { 'adapter_config.json': { bytes, lfs: false }, 'adapter_model.safetensors': { bytes, lfs: true } };
  const other = await HubServer.start({ repo: 'someone/adapter', revisions: { main: COMMIT }, files });
  onTestFinished(() => other.stop());
  await run('hub:someone/adapter@main', '--endpoint', other.endpoint);
  const folder = path.join(dir, 'hub/someone/adapter', COMMIT);
  expect(said[0]).toContain(`  npx plimsoll model import BASE --safety ${folder} --out DIR`);
});

test('--from says what is wrong with a file that is not the model', async () => {
  const file = path.join(dir, 'mine.gguf');
  await writeFile(file, 'GGUF');
  await expect(run('smollm2-135m-instruct', '--from', file)).rejects.toThrow(
    `${file}: found 4 bytes, wanted ${KNOWN_MODELS['smollm2-135m-instruct']!.file.bytes}`,
  );
});

test('a hub that cannot be reached is one line, soon, that says what else to do', async () => {
  await expect(run('hub:someone/tiny@main', '--endpoint', 'http://127.0.0.1:1')).rejects.toThrow(
    /bad port; HF_ENDPOINT names another hub, and a folder or a file that is already here needs none$/,
  );
  expect(process.stderr.write).not.toHaveBeenCalled();
});

test('--list says what each model is and what its licence is', async () => {
  await run('--list');
  expect(said).toEqual([expect.stringMatching(/^smollm2-135m-instruct {2}a chat model .*98\.4 MB, Apache-2\.0$/)]);
});

test.each([
  [[], /which model\? Known are smollm2-135m-instruct, hub:<owner>/],
  [['llama'], /there is no model called "llama" here; there is smollm2/],
  [['someone/tiny'], /there is no model called "someone\/tiny" here; did you mean hub:someone\/tiny@main\?$/],
  [['hub:a/b'], /wanted hub:<owner>\/<repository>@<revision>/],
  [['hub:a/b@main', '--from', 'x'], /--from: only for a model that is known by name/],
])('%j is an error', async (args, message) => {
  await expect(run(...args)).rejects.toThrow(message);
  expect(server.requests).toEqual([]);
});
