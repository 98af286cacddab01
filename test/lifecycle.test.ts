/**
 * Tests how a stack starts, survives failures and stops. The launcher starts it, as in `npm start`.
 */
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { text as textOf } from 'node:stream/consumers';
import type { JSONWebKeySet } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { ErrorBody } from '#shared/api/errors.ts';
import { verifyReceipt } from '#shared/protocol/receipt.ts';
import { descendantsOf, stillRunning } from './process-tree.ts';
import { client, newDataDir, post, type RunningStack, spawnStack, startStack } from './running-stack.ts';

let dataDir: string;
let stack: RunningStack;
beforeAll(async () => {
  dataDir = await newDataDir();
});
afterAll(() => rm(dataDir, { recursive: true, force: true }));

const question = (model: string, more: object = {}) => ({
  model,
  messages: [{ role: 'user' as const, content: 'How do I clean a pan?' }],
  seed: 5,
  ...more,
});

async function answer(): Promise<{ text: string; receipt: string }> {
  const response = await post(stack.url, question(stack.model, { max_tokens: 12 }));
  expect(response.status).toBe(200);
  const { choices, plimsoll } = (await response.json()) as {
    choices: { message: { content: string } }[];
    plimsoll: { receipt: string };
  };
  return { text: choices[0]!.message.content, receipt: plimsoll.receipt };
}

/** Reads these metrics at one moment and sums them over all labels. */
async function metrics(...names: string[]): Promise<number> {
  const text = await (await fetch(`${stack.backends()[0]!.url}/metrics`)).text();
  for (const name of names) expect(text).toContain(`# TYPE plimsoll:${name} `);
  const values = names.flatMap((name) => [...text.matchAll(new RegExp(`^plimsoll:${name}{[^}]*} (\\S+)$`, 'gm'))]);
  return values.reduce((sum, [, value]) => sum + Number(value), 0);
}

describe('a running stack', () => {
  beforeAll(async () => {
    stack = await startStack({ dataDir });
  });
  afterAll(async () => {
    await stack?.stop();
  });

  test('says on stderr what it is doing, then suggests what to try', async () => {
    expect(stack.log()).toMatch(
      /loading [\s\S]*\n.*backend-1 is process \d+[\s\S]*\n.*starting the edge.*\n.*first token/,
    );
    // The hints come after the ready line.
    await expect.poll(() => stack.log()).toContain(`curl -N ${stack.url}/v1/chat/completions`);
    for (const key of ['pk-demo-strict', 'pk-demo-balanced', 'pk-demo-open']) expect(stack.log()).toContain(key);
  });

  test('frees everything when clients disconnect during an answer', async () => {
    const leave = async (seed: number) => {
      const controller = new AbortController();
      const request = { ...question(stack.model, { seed }), stream: true as const };
      const stream = await client(stack.url, 'pk-demo-open').chat.completions.create(request, {
        signal: controller.signal,
      });
      for await (const _chunk of stream) controller.abort();
    };
    // There are more clients than the backend has rows for. A running answer of the demo may end
    // before the backend notices that its client has left. A request that is still waiting will
    // not.
    const clients = Array.from({ length: 40 }, (_, seed) => seed);
    const over = () => metrics('request_cancelled_total', 'request_success_total');
    const before = await over();
    await Promise.all(clients.map(leave));
    // First we wait until all requests are over, because a client gets its first chunk, and may
    // leave, before its request has rows.
    await expect.poll(over).toBe(before + clients.length);
    const held = () => metrics('num_requests_waiting', 'num_requests_running', 'num_rows');
    await expect.poll(held).toBe(0);
    expect(await metrics('request_cancelled_total')).toBeGreaterThan(0);
    await answer();
  });

  test('answers 503 with Retry-After while a backend is dead, and restarts the backend', async () => {
    const before = await answer();
    const [backend] = stack.backends();
    process.kill(backend!.pid, 'SIGKILL');
    const refused = await post(stack.url, question(stack.model));
    expect(refused.status).toBe(503);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    const { error } = (await refused.json()) as ErrorBody;
    expect(error).toMatchObject({ type: 'server_error', code: 'backend_unavailable' });

    const status = async () => {
      const response = await post(stack.url, question(stack.model, { max_tokens: 1 }));
      await response.body?.cancel();
      return response.status;
    };
    await expect.poll(status, { interval: 250 }).toBe(200);
    expect(stack.backends()[0]!.pid).not.toBe(backend!.pid);
    expect((await answer()).text).toBe(before.text);
  });

  test('restarts an edge that dies, at the same address and with the same tenants', async () => {
    const before = await answer();
    const edge = descendantsOf(stack.process.pid!).find(({ command }) => command.includes('workerd serve'));
    process.kill(edge!.parent, 'SIGKILL');
    await expect.poll(() => stillRunning([edge!])).toEqual([]);
    const text = async () => (await answer().catch(() => null))?.text;
    await expect.poll(text, { interval: 250 }).toBe(before.text);
  });

  test('restarts an edge that hangs', async () => {
    const before = await answer();
    const edge = descendantsOf(stack.process.pid!).find(({ command }) => command.includes('workerd serve'));
    process.kill(edge!.pid, 'SIGSTOP');
    // Three checks of ten seconds each, five seconds apart.
    await expect.poll(() => stillRunning([edge!]), { interval: 250 }).toEqual([]);
    const text = async () => (await answer().catch(() => null))?.text;
    await expect.poll(text, { interval: 250 }).toBe(before.text);
    expect(stack.log()).toContain('the edge ended (signal SIGKILL, as it no longer answered)');
  });

  test.each([
    [
      'the same port',
      () => ({ PORT: new URL(stack.url).port }),
      /port \d+ is in use; choose another one, as in: npm start -- --port/,
    ],
    ['the same data', () => ({ PLIMSOLL_DATA: dataDir }), /another plimsoll runs on .*PLIMSOLL_DATA/],
  ])('a second stack on %s does not start and says why', async (_name, env, message) => {
    const otherDir = await newDataDir();
    const other = spawnStack(otherDir, env());
    const [log, [code]] = await Promise.all([textOf(other.stderr!), once(other, 'close')]);
    await rm(otherDir, { recursive: true, force: true });
    expect(code).toBe(1);
    expect(log).toMatch(message);
    await answer();
  });
});

test('leaves nothing running if the stack is stopped before it is ready', async () => {
  const child = spawnStack(dataDir);
  await once(child.stderr!, 'data');
  await expect.poll(() => descendantsOf(child.pid!).length).toBeGreaterThanOrEqual(2);
  const processes = descendantsOf(child.pid!);
  child.kill('SIGTERM');
  const [code] = await once(child, 'exit');
  expect(code).toBe(0);
  expect(stillRunning(processes)).toEqual([]);
});

describe('at the end of a stack', () => {
  beforeAll(async () => {
    stack = await startStack({ dataDir });
  });
  afterEach(async () => {
    stack = await startStack({ dataDir });
  });
  afterAll(async () => {
    await stack?.stop();
  });

  test.each(['SIGTERM', 'SIGINT'] as const)(
    'on %s it finishes its answers, exits with 0 and leaves nothing running',
    async (signal) => {
      const processes = descendantsOf(stack.process.pid!);
      expect(processes.length).toBeGreaterThanOrEqual(4);
      const stream = await client(stack.url).chat.completions.create({
        ...question(stack.model, { max_tokens: 40 }),
        stream: true,
      });
      let finish: string | null = null;
      const reading = (async () => {
        for await (const { choices } of stream) finish = choices[0]?.finish_reason ?? finish;
      })();
      expect(await stack.stop(signal)).toBe(0);
      await reading;
      expect(finish).toMatch(/stop|length/);
      expect(stillRunning(processes)).toEqual([]);
    },
  );

  test('when the launcher is killed, everything it started ends too', async () => {
    const { receipt } = await answer();
    const jwks = (await (await fetch(`${stack.url}/.well-known/jwks.json`)).json()) as JSONWebKeySet;
    const processes = descendantsOf(stack.process.pid!);
    await stack.stop('SIGKILL');
    await expect.poll(() => stillRunning(processes), { interval: 100 }).toEqual([]);

    // An earlier receipt still verifies with the keys that the next stack publishes.
    stack = await startStack({ dataDir });
    const published = (await (await fetch(`${stack.url}/.well-known/jwks.json`)).json()) as JSONWebKeySet;
    expect(published).toEqual(jwks);
    await verifyReceipt(receipt, published);
    await stack.stop();
  });

  test('when only the supervisor is killed, everything it started ends too, and so does the launcher', async () => {
    const processes = descendantsOf(stack.process.pid!);
    const supervisor = processes.find(({ command }) => command.includes('cli/main.ts serve'));
    process.kill(supervisor!.pid, 'SIGKILL');
    const [code] = (await once(stack.process, 'exit')) as [number];
    expect(code).toBe(128 + 9);
    await expect.poll(() => stillRunning(processes), { interval: 100 }).toEqual([]);
  });
});
