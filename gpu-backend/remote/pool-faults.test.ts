/**
 * What a pool of servers does when some of them fail, and when there is more to ask than they take.
 */
import { createServer, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, expect, test } from 'vitest';
import { type EngineOptions, RemoteEngine } from './ask-engine.ts';
import { SGLANG } from './sglang.ts';

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => {
    server.close();
    server.closeAllConnections();
  });
  // A server that listens on a port has an address with one.
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const rowOf = (id: number) => JSON.stringify({ meta_info: { output_top_logprobs: [[[-0.1, id, null]]] } });
const GOOD = rowOf(7);
const answer = (response: ServerResponse) => void response.writeHead(200).end(GOOD);

const engine = (urls: string[], options: Partial<EngineOptions> = {}) =>
  new RemoteEngine({
    ...{ dialect: SGLANG, urls, model: 'safety', topK: 1, vocabSize: 10, timeoutMs: 60_000, apiKey: null },
    ...options,
  });
const ask = (of: RemoteEngine, { signal = new AbortController().signal, insists = true } = {}) =>
  of.rows([1, 2, 3], { affinity: 'a', cacheSalt: null, signal, insists });

test('a server that is overloaded for a moment is asked again; a mistake is not', async () => {
  let [busy, mistaken] = [0, 0];
  const overloaded = await serve((_, response) => {
    if (++busy <= 2) response.writeHead(busy === 1 ? 503 : 429).end('later');
    else answer(response);
  });
  expect(await ask(engine([overloaded]))).toHaveLength(1);
  expect(busy).toBe(3);
  const refusing = await serve((_, response) => {
    mistaken++;
    response.writeHead(400).end('no');
  });
  await expect(ask(engine([refusing]))).rejects.toThrow(/status 400/);
  expect(mistaken).toBe(1);
});

test('a question that may stay unanswered is asked once', async () => {
  let asked = 0;
  const busy = await serve((_, response) => {
    asked++;
    response.writeHead(503).end();
  });
  await expect(ask(engine([busy]), { insists: false })).rejects.toThrow(/status 503/);
  expect(asked).toBe(1);
});

test('a server that failed is asked last for a while, and the log names it once', async () => {
  const counts = [0, 0];
  const log: string[] = [];
  let down = -1;
  const urls = await Promise.all(
    counts.map((_, i) =>
      serve((request, response) => {
        counts[i]!++;
        if (i === down) request.socket.destroy();
        else answer(response);
      }),
    ),
  );
  const pool = engine(urls, { warn: (message) => log.push(message) });
  await ask(pool);
  down = counts.indexOf(1);
  for (let i = 0; i < 5; i++) await ask(pool);
  expect(counts[down]).toBe(2);
  expect(counts[1 - down]).toBe(5);
  expect(log).toHaveLength(1);
  expect(log[0]).toMatch(new RegExp(`^sglang at ${urls[down]} failed: `));
});

/** Three servers that answer as `listener` says, and how often each was asked. */
async function threeOf(listener: (response: ServerResponse, body: string) => void) {
  const counts = [0, 0, 0];
  const urls = await Promise.all(
    counts.map((_, i) =>
      serve(async (request, response) => {
        counts[i]!++;
        listener(response, await text(request));
      }),
    ),
  );
  return { counts, urls };
}

test.each<[string, (response: ServerResponse) => void, RegExp]>([
  ['too long', (response) => void response.writeHead(400).end('maximum context length'), /status 400/],
  ['too large', (response) => void response.writeHead(413).end(), /status 413/],
  ['not as they want it', (response) => void response.writeHead(422).end(), /status 422/],
  ['for a model that none of them has', (response) => void response.writeHead(404).end(), /status 404/],
  ['answered with another vocabulary by all', (response) => void response.end(rowOf(10)), /token 10/],
  ['for a moment too many', (response) => void response.writeHead(503).end(), /status 503/],
])('a question that is %s moves no other question', async (_, refuse, message) => {
  const { counts, urls } = await threeOf((response, body) => (body.includes('[9]') ? refuse : answer)(response));
  const pool = engine(urls);
  const homes = Array.from({ length: 12 }, (_, i) => ({ affinity: `${i}`, home: pool.stayAt(urls[i % 3]!).url }));
  const { signal } = new AbortController();
  const refused = pool.rows([9], { affinity: 'a', cacheSalt: null, signal, insists: false });
  await expect(refused).rejects.toThrow(message);
  expect(counts).toEqual([1, 1, 1]);
  for (const home of homes) await pool.rows([1], { ...home, cacheSalt: null, signal });
  expect(counts).toEqual([5, 5, 5]);
});

/**
 * Three servers. The first one rests, because it failed where another one answered.
 *
 * @param status what a server that fails says from then on
 */
async function oneAtRest(status: number) {
  let down = (_: number) => false;
  const asked: number[] = [];
  const urls = await Promise.all(
    [0, 1, 2].map((i) =>
      serve((_, response) => {
        asked.push(i);
        if (down(i)) response.writeHead(asked.length === 1 ? 503 : status).end();
        else answer(response);
      }),
    ),
  );
  const pool = engine(urls);
  const { signal } = new AbortController();
  const askAt = (i: number) =>
    pool.rows([1], { affinity: 'a', home: urls[i]!, cacheSalt: null, signal, insists: false });
  const fail = (which: (i: number) => boolean) => {
    down = which;
  };
  const firstAsked = async (i: number) => {
    const before = asked.length;
    await askAt(i);
    return asked[before];
  };
  fail((i) => i === 0);
  await askAt(0);
  return { askAt, fail, firstAsked };
}

test.each([503, 400])('a server that rested before all said %i still rests, and no other does', async (status) => {
  const { askAt, fail, firstAsked } = await oneAtRest(status);
  fail(() => true);
  for (let i = 0; i < 2; i++) await expect(askAt(1)).rejects.toThrow(`status ${status}`);
  fail(() => false);
  expect(await firstAsked(0)).not.toBe(0);
  expect(await firstAsked(1)).toBe(1);
  expect(await firstAsked(2)).toBe(2);
});

test('questions that fail everywhere at the same time give no server a rest', async () => {
  const { askAt, fail, firstAsked } = await oneAtRest(503);
  fail(() => true);
  await Promise.allSettled(Array.from({ length: 12 }, (_, i) => askAt(i % 3)));
  fail(() => false);
  expect(await firstAsked(1)).toBe(1);
  expect(await firstAsked(2)).toBe(2);
  expect(await firstAsked(0)).not.toBe(0);
});

test('a server that refuses what another one answers keeps its questions, and is named once', async () => {
  const counts = [0, 0];
  const refusing = await serve((_, response) => {
    counts[0]!++;
    response.writeHead(400).end('too long');
  });
  const good = await serve((_, response) => {
    counts[1]!++;
    answer(response);
  });
  const log: string[] = [];
  const pool = engine([refusing, good], { warn: (message) => log.push(message) });
  const { signal } = new AbortController();
  for (let i = 0; i < 3; i++) await pool.rows([1], { affinity: 'a', home: refusing, cacheSalt: null, signal });
  expect(counts).toEqual([3, 3]);
  expect(log).toEqual([`sglang at ${refusing} failed: status 400: too long`]);
});

test('a server whose time was up is not asked again when the others are', async () => {
  const counts = [0, 0];
  const silent = await serve(() => void counts[0]!++);
  const busy = await serve((_, response) => {
    counts[1]!++;
    response.writeHead(503).end();
  });
  const pool = engine([silent, busy], { timeoutMs: 1500 });
  const { signal } = new AbortController();
  const asked = pool.rows([1], { affinity: 'a', home: silent, cacheSalt: null, signal });
  await expect(asked).rejects.toThrow(/timeout.*; .*status 503/);
  expect(counts).toEqual([1, 3]);
});

test('a message of the server that repeats the question is cut before it', async () => {
  const echoing = await serve((_, response) =>
    response.writeHead(422).end(`{"detail":[{"msg":"bad","input":[11,12,13]}]}`),
  );
  const refused = ask(engine([echoing]));
  await expect(refused).rejects.toThrow(/status 422: .*bad/);
  await expect(refused).rejects.not.toThrow(/11,12/);
});

test('one server has so many questions at a time; who goes away makes room', async () => {
  const open: ServerResponse[] = [];
  let most = 0;
  let running = 0;
  const url = await serve((_, response) => {
    most = Math.max(most, ++running);
    response.once('close', () => running--);
    open.push(response);
  });
  const pool = engine([url], { atOnce: 2 });
  const leaving = [new AbortController(), new AbortController()];
  // The first one is under way when it leaves, and the second one waits.
  const asked = [0, 1, 2, 3, 4].map((i) => {
    const signal = { 0: leaving[0], 3: leaving[1] }[i]?.signal;
    return ask(pool, signal && { signal }).then(
      () => 'answered',
      () => 'left',
    );
  });
  await expect.poll(() => open.length).toBe(2);
  for (const one of leaving) one.abort();
  await expect.poll(() => open.length).toBe(3);
  let answered = 0;
  while (answered < open.length || answered < 4) {
    await expect.poll(() => open.length).toBeGreaterThan(answered);
    answer(open[answered++]!);
  }
  expect((await Promise.all(asked)).toSorted()).toEqual(['answered', 'answered', 'answered', 'left', 'left']);
  expect(most).toBe(2);
  expect(open).toHaveLength(4);
});
