/** The rows of one expert over a WebSocket, as an edge asks for them. */
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { OPEN_LINE } from '#shared/line/line.ts';
import { directiveKey } from '#shared/protocol/directive.ts';
import {
  EXPERT_HEADER,
  EXPERTS_PATH,
  type ExpertDirective,
  expertKey,
  poolExpertKey,
  signExpertDirective,
} from '#shared/protocol/expert-directive.ts';
import { decodeRow, type Open, Said } from '#shared/protocol/expert-messages.ts';
import { helpfulnessSecret } from '#shared/protocol/pool-secret.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import type { Engine } from '../engine/engine.ts';
import { startScriptedEngine } from '../engine/testing/scripted-engine.ts';
import type { BackendConfig } from './config.ts';
import type { Log } from './log.ts';
import { type Backend, serveEngine } from './start-backend.ts';
import { allFrames, call, DRAW_SECRET, generateRequest, receiptKeys, SECRET } from './testing/backend-client.ts';
import { endOf, idle } from './testing/scripted-backends.ts';

const BODY = JSON.stringify(generateRequest());
let keys: Awaited<ReturnType<typeof receiptKeys>>;
let backend: Backend;
let engine: Engine;
/** Whether the backend is one of the helpfulness pool. */
let isPool = false;
/** How each session ended, as the log says it. */
let outcomes: unknown[];

beforeAll(async () => {
  keys = await receiptKeys();
});
afterEach(() => backend.close());

async function serve(serves: BackendConfig['serves'] = 'all') {
  engine = await startScriptedEngine({});
  isPool = serves === 'helpfulness';
  outcomes = [];
  const log: Log = (_text, _cause, about) => {
    if (about?.event === 'request') outcomes.push(about.outcome);
  };
  const config = {
    host: '127.0.0.1',
    port: 0,
    ...(isPool
      ? { directiveSecret: await helpfulnessSecret(directiveKey(SECRET)), drawSecret: null, receiptPrivateJwk: null }
      : { directiveSecret: SECRET, drawSecret: DRAW_SECRET, receiptPrivateJwk: keys.receiptPrivateJwk }),
    backendId: 'b1',
    graceMs: 0,
    bodyLimitBytes: 10_000,
    hostNames: null,
    serves,
    logRequests: '1' as const,
  };
  const vocabulary = { eos: [0], banned: [], bytesOf: (id: number) => (id === 0 ? undefined : Uint8Array.of(id)) };
  backend = await serveEngine(
    engine,
    (messages) => ({ promptIds: [...Buffer.from(messages.map(({ content }) => content).join('\n'))], rowPrompts: {} }),
    config,
    { log, vocabulary },
  );
}

type Asked = { token?: string | null; changes?: Partial<ExpertDirective>; open?: Partial<Open>; url?: string };

/** As the edge does it; `key` is another one that signs. */
async function sign(changes: Partial<ExpertDirective> = {}, key?: Uint8Array): Promise<string> {
  const directive: ExpertDirective = {
    id: crypto.randomUUID(),
    request: 'req_1',
    tenant: 'acme',
    key: 'main',
    policy: 'p',
    classifier: 'c',
    digest: await sha256Hex(BODY),
    line: { ...OPEN_LINE, mode: 'edge' },
    second_look: null,
    expert: 'safety',
    top_k: null,
    ahead: 0,
    ...changes,
  };
  const secret = directiveKey(SECRET);
  const own = isPool ? await poolExpertKey(secret) : await expertKey(secret, directive.expert);
  return signExpertDirective(directive, key ?? own);
}

/** Everything that the backend sends, in order. */
async function connect({ token, changes, open }: Asked = {}) {
  const given = token === undefined ? await sign(changes) : token;
  const url = `${backend.url.replace('http', 'ws')}${EXPERTS_PATH}`;
  const socket = new WebSocket(url, { headers: given === null ? {} : { [EXPERT_HEADER]: given } });
  const refused = new Promise<number>((resolve) => {
    socket.on('unexpected-response', (_, response) => resolve(response.statusCode ?? 0));
  });
  socket.on('error', () => undefined);
  const said: unknown[] = [];
  socket.on('message', (data: Buffer, isBinary) => {
    said.push(isBinary ? decodeRow(Uint8Array.from(data).buffer) : Said.parse(JSON.parse(String(data))));
  });
  const opened = once(socket, 'open').then(() => {
    socket.send(
      JSON.stringify({ type: 'open', body: BODY, ids: [], draws: null, vocabulary: false, ...open } satisfies Open),
    );
    return 101;
  });
  opened.catch(() => undefined);
  return { status: await Promise.race([refused, opened]), socket, said };
}

const first = (said: unknown[]) => expect.poll(() => said.length).toBeGreaterThanOrEqual(2);

test('it says where it stands and what the expert predicts, and goes on with each token that was drawn', async () => {
  await serve();
  const { status, socket, said } = await connect({ open: { vocabulary: true } });
  expect(status).toBe(101);
  await first(said);
  expect(said[0]).toMatchObject({ type: 'start', backend: 'b1', prompt_tokens: 5, most_tokens: 12, proposal: 0.5 });
  expect(said[0]).toMatchObject({ vocabulary: { eos: [0] }, draws: expect.any(String), key: expect.any(Array) });
  expect(said[1]).toMatchObject({ epoch: 0, position: 0, draft: null });
  socket.send(JSON.stringify({ type: 'take', at: 0, id: 97, epoch: 1 }));
  await expect.poll(() => said.length).toBe(3);
  expect(said[2]).toMatchObject({ epoch: 1, position: 1 });
  socket.close();
  await idle(engine);
});

test('an edge that waits says that it is here, and the session goes on', async () => {
  await serve();
  const { socket, said } = await connect();
  await first(said);
  socket.send('{"type":"here"}');
  socket.send(JSON.stringify({ type: 'take', at: 0, id: 97, epoch: 1 }));
  await expect.poll(() => said.length).toBe(3);
  expect(said[2]).toMatchObject({ epoch: 1, position: 1 });
  socket.close();
  await idle(engine);
});

test('a token that the model does not have ends the socket, and not the engine', async () => {
  await serve();
  const { socket, said } = await connect();
  await first(said);
  socket.send(JSON.stringify({ type: 'take', at: 0, id: engine.info.vocabSize, epoch: 1 }));
  await once(socket, 'close');
  expect(said.at(-1)).toMatchObject({ type: 'error', code: 'invalid_request' });
  await idle(engine);
  const other = await connect();
  await first(other.said);
});

test('the key is that of the answer which the backend itself would draw', async () => {
  await serve();
  const { said } = await connect();
  await first(said);
  const [start] = said as Extract<Said, { type: 'start' }>[];
  const other = await connect({ changes: { top_k: 8 } });
  await first(other.said);
  // Other distributions, other numbers.
  expect(other.said[0]).not.toMatchObject({ key: start!.key });
  expect(endOf(await allFrames(await call(backend.url, BODY)))).toMatchObject({ type: 'end' });
});

test('without a directive for exactly this, there is no socket', async () => {
  await serve('helpfulness');
  const used = await sign({ expert: 'helpfulness' });
  expect((await connect({ token: used })).status).toBe(101);
  expect((await connect({ token: used })).status).toBe(401);
  expect((await connect({ token: null })).status).toBe(401);
  expect((await connect({ token: 'x.y.z' })).status).toBe(401);
  // It has no key for the other expert, so it cannot even tell that the directive is genuine.
  isPool = false;
  expect((await connect()).status).toBe(401);
});

test.each(['all', 'safety'] as const)(
  'a backend that serves %s takes nothing that the helpfulness pool can sign',
  async (serves) => {
    await serve(serves);
    const key = await poolExpertKey(directiveKey(SECRET));
    for (const expert of ['safety', 'helpfulness'] as const) {
      expect((await connect({ token: await sign({ expert }, key) })).status).toBe(401);
    }
  },
);

test('a backend of the safety expert gives no rows of the other one', async () => {
  await serve('safety');
  expect((await connect({ changes: { expert: 'helpfulness' } })).status).toBe(503);
});

test.each(['all', 'helpfulness'] as const)(
  'a backend that serves %s says no draw key with the helpfulness expert’s rows, and guesses without it',
  async (serves) => {
    await serve(serves);
    const asked = { changes: { expert: 'helpfulness', ahead: 3 } } as const;
    const { said, socket } = await connect(asked);
    await expect.poll(() => said.length).toBe(5);
    const [start, ...rows] = said as [Record<string, unknown>, ...Guess[]];
    expect([start.key, start.draws]).toEqual([undefined, undefined]);
    // It goes on with the likeliest token, whatever the draw will be.
    const guesses = rows.slice(0, 3);
    expect(guesses.map(({ draft }) => draft)).toEqual(guesses.map(({ logits }) => likeliest(logits)));
    socket.close();
    await idle(engine);
  },
);

type Guess = { draft: number | null; logits: Float32Array };
/** Token 0 ends an answer, and none begins with it. */
const likeliest = (logits: Float32Array) => logits.indexOf(Math.max(...logits));

test('a helpfulness backend has no secret of the deployment, and says so in its health', async () => {
  await serve('helpfulness');
  const health = (await (await fetch(`${backend.url}/healthz`)).json()) as Record<string, unknown>;
  expect(health).toMatchObject({ serves: ['helpfulness'], modes: ['edge'], scores: false });
  expect(health.draws).toBeUndefined();
  expect((await call(backend.url, BODY)).status).toBe(503);
});

test('a request with another body than was signed gets an error and no row', async () => {
  await serve();
  const { said } = await connect({ open: { body: BODY.replace('hello', 'other') } });
  await expect.poll(() => said).toEqual([expect.objectContaining({ type: 'error', code: 'directive_invalid' })]);
});

test('what is no message ends the socket, and the row is free', async () => {
  await serve();
  const { socket, said } = await connect();
  await first(said);
  socket.send('{"type":"take","at":-1}');
  await once(socket, 'close');
  expect(said.at(-1)).toMatchObject({ type: 'error', code: 'invalid_request' });
  await idle(engine);
});

test('a token at a place that the expert has not come to is the mistake of whoever says it', async () => {
  await serve();
  const { socket, said } = await connect();
  await first(said);
  socket.send(JSON.stringify({ type: 'take', at: 1, id: 97, epoch: 0 }));
  await once(socket, 'close');
  expect(said.at(-1)).toMatchObject({ type: 'error', code: 'invalid_request' });
  await idle(engine);
});

test('a session is over in its trace also where no socket comes of it', async () => {
  await serve();
  const upgrade = async (rest: string[]) => {
    const { hostname, port } = new URL(backend.url);
    const socket = connectTcp(Number(port), hostname);
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    const asked = [`GET ${EXPERTS_PATH} HTTP/1.1`, 'host: backend', 'connection: upgrade', 'upgrade: websocket'];
    socket.write([...asked, `${EXPERT_HEADER}: ${await sign()}`, ...rest, '', ''].join('\r\n'));
    return socket;
  };
  // A handshake without a key.
  const bad = await upgrade(['sec-websocket-version: 13']);
  const [answer] = await once(bad, 'data');
  expect(String(answer)).toMatch(/^HTTP\/1\.1 400 /);
  await expect.poll(() => outcomes).toEqual(['invalid_request']);
  // An edge that hangs up before it is let in.
  const handshake = ['sec-websocket-version: 13', 'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=='];
  (await upgrade(handshake)).resetAndDestroy();
  await expect.poll(() => outcomes).toEqual(['invalid_request', 'cancelled']);
});

test('a backend of one expert answers nothing itself', async () => {
  await serve('safety');
  expect(await (await fetch(`${backend.url}/healthz`)).json()).toMatchObject({ modes: ['edge'], serves: ['safety'] });
  expect((await call(backend.url, BODY)).status).toBe(503);
});
