/**
 * Tests `plimsoll backend` as a deployment runs it: in its own process, with a bundle on disk,
 * onnxruntime and signals.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text as textOf } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { JSONWebKeySet } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tinyBundle } from '#gpu-backend/model/fixtures/tiny-bundle.ts';
import { loadBundle } from '#gpu-backend/model/load-bundle.ts';
import { writeBundle } from '#gpu-backend/model/write-bundle.ts';
import {
  allFrames,
  call,
  DRAW_SECRET,
  framesOf,
  generateRequest,
  receiptKeys,
  SECRET,
} from '#gpu-backend/server/testing/backend-client.ts';
import type { EndFrame } from '#shared/protocol/generate.ts';
import { verifyReceipt } from '#shared/protocol/receipt.ts';

let root: string;
let env: Record<string, string>;
let jwks: JSONWebKeySet;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'backend-'));
  await writeBundle(join(root, 'tiny'), tinyBundle({ routers: true }));
  const keys = await receiptKeys();
  jwks = keys.jwks;
  env = {
    PLIMSOLL_BUNDLE: join(root, 'tiny'),
    PLIMSOLL_BACKEND_PORT: '0',
    PLIMSOLL_DIRECTIVE_SECRET: SECRET,
    PLIMSOLL_DRAW_SECRET: DRAW_SECRET,
    PLIMSOLL_RECEIPT_PRIVATE_JWK: JSON.stringify(keys.receiptPrivateJwk),
    PLIMSOLL_THREADS: '1',
  };
});
afterAll(() => rm(root, { recursive: true }));

function start(changes: Record<string, string> = {}, args: readonly string[] = []): ChildProcess {
  const main = fileURLToPath(new URL('./main.ts', import.meta.url));
  return spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main, 'backend', ...args], {
    env: { PATH: process.env.PATH, ...env, ...changes },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

async function ready(child: ChildProcess): Promise<string> {
  for await (const line of createInterface({ input: child.stdout! })) {
    const [, url] = line.match(/^ready (http:\/\/127\.0\.0\.1:\d+)$/) ?? [];
    if (url) return url;
  }
  throw new Error('the backend ended without a ready line');
}

async function failure(child: ChildProcess): Promise<{ code: number; stderr: string }> {
  const [stderr, [code]] = await Promise.all([textOf(child.stderr!), once(child, 'close')]);
  return { code, stderr };
}

test('serves a bundle, and on SIGTERM finishes the running answer and exits with code 0', async () => {
  const child = start();
  const exit = once(child, 'exit');
  const url = await ready(child);
  const bundle = await loadBundle(env.PLIMSOLL_BUNDLE!);
  expect(await (await fetch(`${url}/healthz`)).json()).toMatchObject({
    status: 'ok',
    model: 'tiny',
    bundle: bundle.digest,
    modes: ['logits', 'layers', 'edge'],
    serves: ['safety', 'helpfulness'],
  });

  const body = generateRequest({ model: 'tiny', max_tokens: 60, seed: 3 });
  const first = await allFrames(await call(url, body, { line: { floor: 0.5, budget: 2 } }));
  expect(first.at(-1)?.type).toBe('end');
  const receipt = await verifyReceipt((first.at(-1) as EndFrame).receipt, jwks);
  expect(receipt).toMatchObject({ model: 'tiny', bundle: bundle.digest, line: { floor: 0.5, budget: 2 } });
  expect(receipt.spent).toBeLessThanOrEqual(2);
  const layers = await allFrames(await call(url, body, { line: { mode: 'layers', floor: 0.5, budget: 2 } }));
  expect(await verifyReceipt((layers.at(-1) as EndFrame).receipt, jwks)).toMatchObject({ line: { mode: 'layers' } });

  const again = await call(url, body, { line: { floor: 0.5, budget: 2 } });
  const frames = [];
  for await (const frame of framesOf(again)) {
    if (frames.length === 1) child.kill('SIGTERM');
    frames.push(frame);
  }
  // Receipts and MACs are for one directive.
  const answerOf = (all: unknown[]) => all.map((frame) => ({ ...(frame as object), receipt: null, mark: null }));
  expect(answerOf(frames)).toEqual(answerOf(first));
  expect(await exit).toEqual([0, null]);
});

test('options override the environment, and a second backend on the same port stops with an error', async () => {
  const child = start({ PLIMSOLL_BUNDLE: 'nowhere', PLIMSOLL_BACKEND_PORT: '1' }, [
    '--bundle',
    env.PLIMSOLL_BUNDLE!,
    '--port',
    '0',
  ]);
  const exit = once(child, 'exit');
  const url = await ready(child);
  const { code, stderr } = await failure(start({}, ['--port', new URL(url).port]));
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /^\{.*"message":"tiny: a context of 96 tokens.*\n\{.*"message":"tiny: prefixes .*\nplimsoll backend: .*EADDRINUSE.*\n$/,
  );
  child.kill('SIGINT');
  expect(await exit).toEqual([0, null]);
});

test('plimsoll drain tells it to take nothing new, and --undo takes that back', async () => {
  const child = start();
  const exit = once(child, 'exit');
  const url = await ready(child);
  const drain = async (...args: string[]) => {
    const main = fileURLToPath(new URL('./main.ts', import.meta.url));
    const command = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main, 'drain', url, ...args], {
      env: { PATH: process.env.PATH, PLIMSOLL_DIRECTIVE_SECRET: SECRET },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    return textOf(command.stdout!);
  };
  expect(await drain()).toBe('local: draining, 0 running, 0 waiting\n');
  expect((await call(url, generateRequest({ model: 'tiny' }))).status).toBe(503);
  expect(await drain('--undo')).toBe('local: ok, 0 running, 0 waiting\n');
  expect((await allFrames(await call(url, generateRequest({ model: 'tiny', max_tokens: 2 })))).at(-1)?.type).toBe(
    'end',
  );
  child.kill('SIGTERM');
  expect(await exit).toEqual([0, null]);
});

test('with a bad setting, does not start, and prints a message without a stack trace', async () => {
  const { code, stderr } = await failure(start({ PLIMSOLL_DIRECTIVE_SECRET: 'short' }));
  expect(code).toBe(1);
  expect(stderr).toBe(
    "plimsoll backend: the backend's settings are not usable\n  PLIMSOLL_DIRECTIVE_SECRET: needs at least 32 bytes\n",
  );
});

test('with a broken bundle, does not start, and names the broken file', async () => {
  const { code, stderr } = await failure(start({ PLIMSOLL_BUNDLE: join(root, 'nowhere') }));
  expect(code).toBe(1);
  expect(stderr).toBe('plimsoll backend: config.json: cannot be read: found no such file, wanted a readable file\n');
});
