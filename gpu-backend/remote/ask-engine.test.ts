import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { afterEach, expect, test } from 'vitest';
import { EngineError, type EngineOptions, RemoteEngine } from './ask-engine.ts';
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

const told = (pairs: [logprob: number | null, id: number][]) =>
  JSON.stringify({ meta_info: { output_top_logprobs: [pairs.map(([logprob, id]) => [logprob, id, null])] } });
const GOOD = told([
  [-0.1, 7],
  [-3, 2],
]);
const says =
  (text: string, status = 200): RequestListener =>
  (_, response) =>
    void response.writeHead(status).end(text);

const engine = (urls: string[], options: Partial<EngineOptions> = {}) =>
  new RemoteEngine({
    dialect: SGLANG,
    urls,
    model: 'safety',
    topK: 2,
    vocabSize: 10,
    timeoutMs: 60_000,
    apiKey: null,
    ...options,
  });
const ask = (of: RemoteEngine, affinity = 'a', signal = new AbortController().signal) =>
  of.rows([1, 2, 3], { affinity, cacheSalt: null, signal }).then(([row]) => row!);

test('reads the row, in the order of ids', async () => {
  const row = await ask(engine([await serve(says(GOOD))]));
  expect([...row.ids]).toEqual([2, 7]);
  expect([...row.logprobs]).toEqual([-3, -0.1]);
});

test('a key is sent as a bearer token, and is in no error', async () => {
  const seen: (string | undefined)[] = [];
  const url = await serve((request, response) => {
    seen.push(request.headers.authorization);
    response.writeHead(401).end('no');
  });
  const refused = ask(engine([url], { apiKey: 'sk-secret' }));
  await expect(refused).rejects.toThrow(/status 401: no/);
  await expect(refused).rejects.not.toThrow(/sk-secret/);
  expect(seen).toEqual(['Bearer sk-secret']);
});

test('no word of an answer that is broken is in the error or the log', async () => {
  const log: string[] = [];
  const refused = ask(engine([await serve(says('a secret token","prob":1}'))], { warn: (line) => log.push(line) }));
  const error = await refused.catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(EngineError);
  expect(log).toEqual([expect.stringMatching(/failed: no JSON/)]);
  expect(inspect([error, log], { depth: 10 })).not.toMatch(/secret/);
});

test.each<[string, RequestListener, RegExp]>([
  ['says nonsense', says('<html>'), /no JSON/],
  ['says something else', says('{"text":""}'), /meta_info/],
  ['gives NaN', says(told([[null, 7]])), /expected number/],
  [
    'gives a token of another vocabulary',
    says(
      told([
        [-0.1, 7],
        [-3, 10],
      ]),
    ),
    /token 10/,
  ],
  ['is overloaded', says('busy', 503), /status 503: busy/],
  ['hangs up', (request) => void request.socket.destroy(), /fetch failed/],
  [
    'answers without end',
    (_, response) => {
      response.writeHead(200);
      const more = () => {
        while (response.write('x'.repeat(2 ** 16)));
        response.once('drain', more);
      };
      more();
    },
    /more than 16777216 bytes/,
  ],
])('a server that %s is passed over, and is named if it was the last', async (_, listener, message) => {
  const [bad, good] = [await serve(listener), await serve(says(GOOD))];
  const alone = ask(engine([bad]));
  await expect(alone).rejects.toThrow(EngineError);
  await expect(alone).rejects.toThrow(message);
  await expect(alone).rejects.toThrow(bad);
  // Some of these ask the bad one first.
  for (const affinity of 'abcdefgh') expect((await ask(engine([bad, good]), affinity)).ids).toHaveLength(2);
});

test('a server that says nothing is passed over when its time is up', async () => {
  const silent = await serve(() => {});
  await expect(ask(engine([silent], { timeoutMs: 50 }))).rejects.toThrow(/timeout/);
});

test('questions that begin alike go to one server, and others spread', async () => {
  const counts = [0, 0, 0];
  const urls = await Promise.all(
    counts.map((_, i) =>
      serve((request, response) => {
        counts[i]!++;
        says(GOOD)(request, response);
      }),
    ),
  );
  const pool = engine(urls);
  for (let i = 0; i < 5; i++) await ask(pool, 'the same');
  expect(counts.toSorted()).toEqual([0, 0, 5]);
  for (let i = 0; i < 60; i++) await ask(pool, `${i}`);
  expect(Math.min(...counts)).toBeGreaterThan(5);
});

test('a question that nobody waits for is given up at once, and no other server is asked', async () => {
  let asked = 0;
  const [one, other] = await Promise.all([0, 1].map(() => serve(() => void asked++)));
  const gone = new AbortController();
  const waiting = ask(engine([one!, other!]), 'a', gone.signal);
  gone.abort(new Error('nobody waits'));
  await expect(waiting).rejects.toThrow('nobody waits');
  expect(asked).toBeLessThanOrEqual(1);
});
