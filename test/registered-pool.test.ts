/**
 * Backends that register with an edge: real processes over scripted engines, and the Worker in its
 * own runtime. They come, are killed, drain and leave, and requests go on.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DRAW_SECRET, receiptKeys, SECRET } from '#gpu-backend/server/testing/backend-client.ts';
import { directiveKey } from '#shared/protocol/directive.ts';
import { HEARTBEAT_PATH, heartbeatKey, signHeartbeat } from '#shared/protocol/heartbeat.ts';
import { adminClient } from '#workers/control/admin-client.ts';
import { seedDemoTenants, sha256 } from '#workers/local/seed-demo-tenants.ts';
import { type Edge, startEdge } from '#workers/local/start-edge.ts';

const OPERATOR_KEY = 'pk-demo-operator';
/** Three of them are more than a busy machine keeps a process waiting. */
const HEARTBEAT_MS = 1000;
const PROCESS = fileURLToPath(new URL('../gpu-backend/server/testing/scripted-process.ts', import.meta.url));

let dataDir: string;
let edge: Edge;
let keys: Awaited<ReturnType<typeof receiptKeys>>;
const log: string[] = [];
const running = new Set<ChildProcess>();

beforeAll(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), 'plimsoll-pool-'));
  keys = await receiptKeys();
  edge = await openEdge(0);
  await seedDemoTenants(edge.url, OPERATOR_KEY);
});

const openEdge = (port: number) =>
  startEdge({
    port,
    dataDir,
    backends: [],
    directiveSecret: SECRET,
    receiptJwks: keys.jwks,
    operatorKeySha256: sha256(OPERATOR_KEY),
    log: (line) => log.push(line),
    inspectStorage: true,
  });
afterAll(async () => {
  await Promise.all([...running].map(kill));
  await edge.dispose();
  await rm(dataDir, { recursive: true, force: true });
});

type Started = { child: ChildProcess; url: string };

async function startBackend(id: string, { port = '0', stepMs = '1' } = {}): Promise<Started> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', PROCESS], {
    env: {
      PATH: process.env.PATH,
      PLIMSOLL_BUNDLE: 'scripted',
      PLIMSOLL_BACKEND_ID: id,
      PLIMSOLL_BACKEND_PORT: port,
      PLIMSOLL_DIRECTIVE_SECRET: SECRET,
      PLIMSOLL_DRAW_SECRET: DRAW_SECRET,
      PLIMSOLL_RECEIPT_PRIVATE_JWK: JSON.stringify(keys.receiptPrivateJwk),
      PLIMSOLL_REGISTER: edge.url,
      PLIMSOLL_HEARTBEAT_MS: String(HEARTBEAT_MS),
      PLIMSOLL_REGION: 'weur',
      STEP_MS: stepMs,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  for await (const line of createInterface({ input: child.stdout! })) {
    const [, url] = line.match(/^ready (\S+)$/) ?? [];
    if (url !== undefined) return { child, url };
  }
  throw new Error('the backend ended without a ready line');
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}

const admin = () => adminClient(edge.url, OPERATOR_KEY);
type Listed = { url: string; state?: string; drained: unknown };

async function pool(): Promise<Listed[]> {
  const answer = await admin().pool.$get();
  if (!answer.ok) throw new Error(await answer.text());
  return (await answer.json()).data;
}
const stateOf = async (url: string) => (await pool()).find((backend) => backend.url === url)?.state;

async function eventually<T>(read: () => Promise<T>, isThere: (value: T) => boolean): Promise<T> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const value = await read();
    if (isThere(value)) return value;
    if (Date.now() > deadline) throw new Error(`still ${JSON.stringify(value)} after a minute`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
const comesTo = (url: string, state: string | undefined) =>
  eventually(
    () => stateOf(url),
    (now) => now === state,
  );

function ask(prompt: string, more: object = {}): Promise<Response> {
  return fetch(`${edge.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: 'Bearer pk-demo-balanced', 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'scripted', messages: [{ role: 'user', content: prompt }], max_tokens: 4, ...more }),
  });
}

/** The backend that answered. Anything but a whole answer fails the test. */
async function backendOf(prompt: string, more: object = {}): Promise<string> {
  const answer = await ask(prompt, more);
  const text = await answer.text();
  expect(answer.status, text).toBe(200);
  return (JSON.parse(text) as { plimsoll: { backend: string } }).plimsoll.backend;
}

async function spread(prompts: number): Promise<Set<string>> {
  const answered = new Set<string>();
  for (let prompt = 0; prompt < prompts; prompt++) answered.add(await backendOf(`Prompt ${prompt}`));
  return answered;
}

/** Waits until the isolate has read the directory again: it believes a list for two seconds. */
const isolateKnows = (backends: readonly string[]) =>
  eventually(
    async () =>
      (await ask('Anyone?').then(async (answer) => (await answer.text()) && answer.ok)) ? spread(16) : new Set(),
    (answered) => backends.length === answered.size && backends.every((id) => answered.has(id)),
  );

let one: Started;
let two: Started;

/** What a backend would say that nobody listens for. */
const LEFT = 'http://127.0.0.1:1';
const heartbeat = (incarnation: number, counter: number, status: 'ok' | 'gone' = 'ok') => ({
  incarnation,
  counter,
  report: {
    ...{ url: LEFT, status, backend: 'none', model: 'another', region: null, context_length: 96, max_token_bytes: 1 },
    ...{ modes: ['logits'], second_look: null, heartbeat_ms: 100 },
    experts: { safety: { kind: 'base' as const }, helpfulness: { kind: 'base' as const } },
    capacity: { rows: 2, waiting: 1 },
    load: { running: 0, waiting: 0, rows: 0 },
    prefixes: { queried_tokens: 0, found_tokens: 0, bytes: 0 },
  },
});
const HEARTBEAT = { ...heartbeat(1, 1), report: { ...heartbeat(1, 1).report, url: 'http://127.0.0.1:2' } };

describe('a pool without any settings', () => {
  test('has no backend before one registers, and says so', async () => {
    const answer = await ask('Anyone?');
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1']);
    await answer.body?.cancel();
    expect(await (await fetch(`${edge.url}/healthz`)).json()).toEqual({
      status: 'no_backend',
      backends: { alive: 0, total: 0 },
    });
    expect((await fetch(`${edge.url}/readyz`)).status).toBe(503);
  });

  test('serves with those that register, and lists them', async () => {
    [one, two] = await Promise.all([startBackend('one'), startBackend('two')]);
    await Promise.all([comesTo(one.url, 'up'), comesTo(two.url, 'up')]);
    await isolateKnows(['one', 'two']);
    const answer = await admin().pool.$get();
    const listed = (await answer.json()) as { models: unknown; data: unknown[] };
    expect(listed.models).toEqual([
      expect.objectContaining({ id: 'scripted', backends: 2, up: 2, max_rows: 64, bundles: ['0'.repeat(64)] }),
    ]);
    expect(listed.data).toContainEqual(
      expect.objectContaining({ url: one.url, backend: 'one', source: 'registered', region: 'weur', drained: null }),
    );
    expect(await (await fetch(`${edge.url}/healthz`)).json()).toMatchObject({ status: 'ok', backends: { alive: 2 } });
    const ready = await fetch(`${edge.url}/readyz`);
    expect(await ready.json()).toEqual({ status: 'ready', backends: { alive: 2, total: 2 }, tenants: 'ok' });
  });
});

describe('a backend that is killed', () => {
  test('is out after three missed heartbeats, and no request is lost meanwhile', async () => {
    await kill(one.child);
    for (let prompt = 0; prompt < 24; prompt++) expect(await backendOf(`Prompt ${prompt}`)).toBe('two');
    await comesTo(one.url, 'out');
    expect(await spread(12)).toEqual(new Set(['two']));
  });

  test('is back under the same address as soon as it is started again', async () => {
    one = await startBackend('one', { port: new URL(one.url).port });
    await comesTo(one.url, 'up');
    await isolateKnows(['one', 'two']);
  });
});

describe('a backend that the operator drains', () => {
  test('finishes what it has, gets nothing new, and comes back', async () => {
    const slow = await startBackend('slow', { stepMs: '20' });
    await comesTo(slow.url, 'up');
    await isolateKnows(['one', 'two', 'slow']);
    // A prompt whose home it is.
    let i = 0;
    while ((await backendOf(`Prompt ${i}`)) !== 'slow') i++;
    const answer = await ask(`Prompt ${i}`, { max_tokens: 150, stream: true });
    const drained = await admin().pool.drain.$post({ json: { url: slow.url } });
    expect(await drained.json()).toEqual({ url: slow.url, drained: true, changed: true });
    // The backend hears of it with its next heartbeat.
    await comesTo(slow.url, 'draining');
    await isolateKnows(['one', 'two']);
    const events = (await answer.text()).trimEnd().split('\n\n');
    expect(events.at(-1), events.slice(-3).join('\n')).toBe('data: [DONE]');
    expect((await fetch(`${slow.url}/healthz`)).status).toBe(503);

    const back = await admin().pool.undrain.$post({ json: { url: `${slow.url}/` } });
    expect(await back.json()).toEqual({ url: slow.url, drained: false, changed: true });
    await comesTo(slow.url, 'up');
    await isolateKnows(['one', 'two', 'slow']);

    const exit = once(slow.child, 'exit');
    slow.child.kill('SIGTERM');
    expect(await exit).toEqual([0, null]);
    await comesTo(slow.url, 'gone');
    await isolateKnows(['one', 'two']);
  });

  test('stays drained when it is started again', async () => {
    await admin().pool.drain.$post({ json: { url: two.url } });
    await comesTo(two.url, 'draining');
    await kill(two.child);
    two = await startBackend('two', { port: new URL(two.url).port });
    await comesTo(two.url, 'draining');
    await isolateKnows(['one']);
    await admin().pool.undrain.$post({ json: { url: two.url } });
    await comesTo(two.url, 'up');
    await isolateKnows(['one', 'two']);
  });

  test('needs the operator: a tenant or nobody may neither look nor drain', async () => {
    for (const key of ['pk-demo-balanced', 'nobody']) {
      const other = adminClient(edge.url, key).pool;
      for (const answer of [await other.$get(), await other.drain.$post({ json: { url: one.url } })]) {
        expect(answer.status).toBe(401);
        await answer.body?.cancel();
      }
    }
    const bad = await admin().pool.drain.$post({ json: { url: 'backend one' } });
    expect(bad.status).toBe(400);
  });
});

describe('a heartbeat that is not of a living backend', () => {
  const beat = async (token: string) => {
    const headers = { authorization: `Bearer ${token}` };
    const answer = await fetch(`${edge.url}${HEARTBEAT_PATH}`, { method: 'POST', headers });
    return { status: answer.status, ...((await answer.json()) as object) };
  };
  const sign = async (...of: Parameters<typeof heartbeat>) =>
    signHeartbeat(heartbeat(...of), await heartbeatKey(directiveKey(SECRET)));

  test('is refused: a copy, an older one, one after a goodbye, one of a process that was replaced', async () => {
    const first = await sign(10, 1);
    expect(await beat(first)).toEqual({ status: 200, drain: false });
    expect(await beat(first)).toMatchObject({ status: 401, error: { code: 'heartbeat_invalid' } });
    expect(await beat(await sign(10, 3))).toMatchObject({ status: 200 });
    expect(await beat(await sign(10, 2))).toMatchObject({
      status: 401,
      error: { message: expect.stringContaining('heard before') },
    });
    expect(await beat(await sign(10, 4, 'gone'))).toMatchObject({ status: 200 });
    expect(await beat(await sign(10, 5))).toMatchObject({
      status: 401,
      error: { message: expect.stringContaining('goodbye') },
    });
    expect(await beat(await sign(11, 1))).toMatchObject({ status: 200 });
    expect(await beat(await sign(10, 99))).toMatchObject({
      status: 401,
      error: { message: expect.stringContaining('started later') },
    });
  });

  test('is refused: one that somebody else has signed, or nobody', async () => {
    const forged = await signHeartbeat(heartbeat(99, 1), await heartbeatKey(directiveKey('x'.repeat(32))));
    const bare = await signHeartbeat(heartbeat(99, 1), directiveKey(SECRET));
    for (const token of [forged, bare, 'pk-demo-operator']) {
      expect(await beat(token)).toMatchObject({ status: 401, error: { code: 'heartbeat_invalid' } });
    }
    const none = await fetch(`${edge.url}${HEARTBEAT_PATH}`, { method: 'POST' });
    expect(none.status).toBe(401);
    await none.body?.cancel();
  });
});

describe('an edge that is started again', () => {
  test('knows drains and counters as before, and its backends go on', async () => {
    await admin().pool.drain.$post({ json: { url: one.url } });
    await comesTo(one.url, 'draining');
    const beat = await signHeartbeat(HEARTBEAT, await heartbeatKey(directiveKey(SECRET)));
    const hear = async () => {
      const headers = { authorization: `Bearer ${beat}` };
      const answer = await fetch(`${edge.url}${HEARTBEAT_PATH}`, { method: 'POST', headers });
      await answer.body?.cancel();
      return answer.status;
    };
    expect(await hear()).toBe(200);
    const { port } = new URL(edge.url);
    await edge.dispose();
    edge = await openEdge(Number(port));
    expect(await hear()).toBe(401);
    await comesTo(two.url, 'up');
    await comesTo(one.url, 'draining');
    await isolateKnows(['two']);
    await admin().pool.undrain.$post({ json: { url: one.url } });
    await isolateKnows(['one', 'two']);
  });
});

describe('a directory that cannot be read', () => {
  const breakIt = async (statement: string) => {
    const { miniflare } = edge;
    const storage = await miniflare.unsafeGetDurableObjectStorage('plimsoll-edge', 'PoolDirectory', { name: 'pool' });
    await storage.exec(statement);
  };

  test('closes nothing: backends that were known go on, and one that dies is noticed', async () => {
    await isolateKnows(['one', 'two']);
    await breakIt('ALTER TABLE backends RENAME TO lost');
    await eventually(
      async () => {
        await backendOf('Still there?');
        return log.join('\n');
      },
      (lines) => lines.includes('pool-directory-lost'),
    );
    expect(await spread(16)).toEqual(new Set(['one', 'two']));
    const listed = await admin().pool.$get();
    expect(listed.status).toBe(503);
    await listed.body?.cancel();
    await kill(one.child);
    expect(await spread(16)).toEqual(new Set(['two']));
    expect(await (await fetch(`${edge.url}/healthz`)).json()).toMatchObject({ status: 'ok', backends: { alive: 1 } });

    await breakIt('ALTER TABLE lost RENAME TO backends');
    one = await startBackend('one', { port: new URL(one.url).port });
    await comesTo(one.url, 'up');
    await isolateKnows(['one', 'two']);
    await eventually(
      async () => {
        await backendOf('And now?');
        return log.join('\n');
      },
      (lines) => lines.includes('pool-directory-back'),
    );
  });
});
