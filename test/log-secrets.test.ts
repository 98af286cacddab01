/**
 * What logs and spans hold, and what they must not. A real edge in workerd and a real backend over
 * a scripted engine get requests with marked prompts and keys, well-formed and not. Then everything
 * that either side writes or sends to a collector is searched for the marks.
 */

import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { startScriptedEngine } from '#gpu-backend/engine/testing/scripted-engine.ts';
import { type Backend, serveEngine } from '#gpu-backend/server/start-backend.ts';
import { call, DRAW_SECRET, generateRequest, receiptKeys, SECRET } from '#gpu-backend/server/testing/backend-client.ts';
import { OPEN_LINE } from '#shared/line/line.ts';
import { DECODE_PATH, decodeKey, signDecodeOrder } from '#shared/protocol/decode.ts';
import { directiveKey } from '#shared/protocol/directive.ts';
import { EXPERT_HEADER, EXPERTS_PATH, expertKey, signExpertDirective } from '#shared/protocol/expert-directive.ts';
import { SCORE_PATH, scoreKey, signScoreOrder } from '#shared/protocol/score.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { signTokenizeOrder, TOKENIZE_PATH, tokenizeKey } from '#shared/protocol/tokenize.ts';
import { seedDemoTenants, sha256 } from '#workers/local/seed-demo-tenants.ts';
import { type Edge, startEdge } from '#workers/local/start-edge.ts';
import { ask, eventually, OPERATOR_KEY, post } from '#workers/testing/edge-under-test.ts';
import { createReceiptKey } from '#workers/testing/receipt-key.ts';

const PROMPT = 'MARKED-PROMPT-7f3a';
const KEY = 'pk-MARKED-KEY-91c2';
/** Of a tenant that lets the edge keep its prompts. */
const KEEPER_KEY = 'pk-MARKED-KEEPER-33d0';
/** Of a tenant whose answers the edge mixes itself. */
const MIXER_KEY = 'pk-MARKED-MIXER-58be';
const MIXER = { id: 'mix', sha256: sha256(MIXER_KEY) };
const COLLECTOR_KEY = 'MARKED-COLLECTOR-KEY';
const TRACE = '0af7651916cd43dd8448eb211c80319c';

const edgeLog: string[] = [];
const backendLog: string[] = [];
const collected: string[] = [];
let collector: Server;
let backend: Backend;
let edge: Edge;
let folder: string;
let secrets: string[];

beforeAll(async () => {
  // The backend writes to stderr; the edge's process has a log of its own.
  vi.spyOn(console, 'error').mockImplementation((...line) => void backendLog.push(line.map(String).join(' ')));
  collector = createServer((request, response) => {
    void textOf(request).then((body) => {
      collected.push(body);
      response.end('{}');
    });
  });
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
  const endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
  folder = await mkdtemp(path.join(tmpdir(), 'plimsoll-logs-'));
  const { receiptPrivateJwk, jwks } = await receiptKeys();
  const edgeKey = await createReceiptKey('edge-key');
  backend = await serveEngine(
    await startScriptedEngine(),
    (messages) => ({ promptIds: [...Buffer.from(messages.map(({ content }) => content).join('\n'))], rowPrompts: {} }),
    {
      host: '127.0.0.1',
      port: 0,
      directiveSecret: SECRET,
      drawSecret: DRAW_SECRET,
      receiptPrivateJwk,
      backendId: 'b1',
      graceMs: 0,
      bodyLimitBytes: 10_000,
      hostNames: null,
      logRequests: '1',
      otlpEndpoint: endpoint,
    },
    {
      vocabulary: { eos: [0], banned: [], bytesOf: (id) => (id === 0 ? undefined : Uint8Array.of(id)) },
      tokenize: (work) =>
        work.kind === 'text'
          ? { ids: [...Buffer.from(work.text)], strings: null, context_length: 96 }
          : { text: 'not asked for' },
    },
  );
  edge = await startEdge({
    port: 0,
    dataDir: folder,
    backends: [backend.url],
    directiveSecret: SECRET,
    receiptJwks: jwks,
    edgeReceiptJwk: edgeKey.privateJwk,
    operatorKeySha256: sha256(OPERATOR_KEY),
    entry: fileURLToPath(new URL('../workers/testing/worker/main.ts', import.meta.url)),
    log: (line) => edgeLog.push(line),
    overrides: {
      LOG_REQUESTS: '1',
      OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
      OTEL_EXPORTER_OTLP_HEADERS: `authorization=Bearer ${COLLECTOR_KEY}`,
    },
  });
  secrets = [SECRET, DRAW_SECRET, receiptPrivateJwk.d, edgeKey.privateJwk.d, COLLECTOR_KEY];
  await seedDemoTenants(edge.url, OPERATOR_KEY);
  const policy = { floor: 0, budget: null, retention: { traffic: true, share: 1 } };
  const keeper = { name: 'Keeper', policy, keys: [{ id: 'web', sha256: sha256(KEEPER_KEY) }] };
  expect((await admin('PUT', '/tenants/keeper', keeper)).status).toBe(200);
  const mixer = { name: 'Mixer', policy: { floor: 0.3, budget: 12, modes: ['logits', 'edge'] }, keys: [MIXER] };
  expect((await admin('PUT', '/tenants/mixer', mixer)).status).toBe(200);
});
afterAll(async () => {
  await edge?.dispose();
  await backend?.close();
  await new Promise((resolve) => collector?.close(resolve));
  await rm(folder, { recursive: true, force: true });
  vi.restoreAllMocks();
});

const linesOf = (log: readonly string[]): Record<string, unknown>[] => log.map((line) => JSON.parse(line));
const chat = (body: unknown, headers: Record<string, string> = {}, key = 'pk-demo-balanced') =>
  fetch(`${edge.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });

const admin = (method: string, route: string, body?: object) =>
  fetch(`${edge.url}/admin/v1${route}`, {
    method,
    headers: { authorization: `Bearer ${OPERATOR_KEY}` },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });

type Sent = { name: string; traceId: string; spanId: string; parentSpanId?: string; kind: number };
/** OTLP's kinds of spans. */
const [SERVER, CLIENT] = [2, 3];
/** The spans of a trace that have been sent. */
const spansOf = (trace: string): Sent[] =>
  collected.flatMap((body) =>
    JSON.parse(body).resourceSpans.flatMap((resource: { scopeSpans: { spans: Sent[] }[] }) =>
      resource.scopeSpans.flatMap(({ spans }) => spans.filter(({ traceId }) => traceId === trace)),
    ),
  );

test('one trace goes through edge and backend, in logs and in spans', async () => {
  const traceparent = `00-${TRACE}-b7ad6b7169203331-01`;
  const answer = await chat({ ...ask('Hello'), max_tokens: 4, stream: true }, { traceparent });
  expect(answer.status).toBe(200);
  await answer.text();
  const request = answer.headers.get('x-request-id');
  const about = { request, trace: TRACE, event: 'request', tenant: 'demo-balanced', key: 'demo' };
  const isThere = (lines: Record<string, unknown>[]) => lines.some((line) => line.request === request);
  const onEdge = await eventually(() => linesOf(edgeLog), isThere);
  expect(onEdge).toContainEqual(expect.objectContaining({ ...about, status: 200, level: 'info' }));
  const onBackend = await eventually(() => linesOf(backendLog), isThere);
  expect(onBackend).toContainEqual(expect.objectContaining({ ...about, outcome: 'ended', level: 'info' }));

  const spans = await eventually(
    () => spansOf(TRACE),
    (found) => found.length >= 3,
  );
  const [served, called] = [spans.find(({ name }) => name === 'POST')!, spans.find(({ kind }) => kind === 3)!];
  const generated = spans.find(({ name, kind }) => name === 'generate' && kind === 2)!;
  expect([served.parentSpanId, called.parentSpanId, generated.parentSpanId]).toEqual([
    'b7ad6b7169203331',
    served.spanId,
    called.spanId,
  ]);
});

test('so it does where the edge mixes the answer, and where a backend counts tokens', async () => {
  const asked: [string, object, string, string, number][] = [
    ['/v1/chat/completions', { ...ask('Hello'), max_tokens: 4, plimsoll: { mode: 'edge' } }, MIXER_KEY, 'experts', 2],
    ['/tokenize', { model: 'scripted', prompt: 'Hello' }, 'pk-demo-balanced', 'tokenize', 1],
  ];
  for (const [index, [route, body, key, name, calls]] of asked.entries()) {
    const trace = TRACE.replace(/.$/, String(index));
    const answer = await fetch(`${edge.url}${route}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, traceparent: `00-${trace}-b7ad6b7169203331-01` },
      body: JSON.stringify(body),
    });
    expect(answer.status, await answer.text()).toBe(200);
    const request = answer.headers.get('x-request-id');
    const served = await eventually(
      () => spansOf(trace).filter((span) => span.name === name && span.kind === SERVER),
      ({ length }) => length >= calls,
    );
    const called = await eventually(
      () => spansOf(trace).filter(({ kind }) => kind === CLIENT),
      ({ length }) => length >= calls,
    );
    expect(served.map(({ parentSpanId }) => parentSpanId).toSorted()).toEqual(
      called.map(({ spanId }) => spanId).toSorted(),
    );
    const lines = linesOf(backendLog).filter((line) => line.event === 'request' && line.request === request);
    expect(lines).toHaveLength(calls);
    for (const line of lines) expect(line).toMatchObject({ trace, outcome: 'ended', route: name, level: 'info' });
  }
});

test('no log line and no span has a prompt, an answer, a key or a secret, whatever goes wrong', async () => {
  const marked = ask(`${PROMPT} [[violence=0.5]]`);
  const answer = await chat({ ...marked, seed: 1, max_tokens: 24 });
  const { choices } = (await answer.json()) as Answer;
  // An answer that the edge mixes, and so the experts' sockets.
  const mixing = await chat({ ...marked, seed: 1, max_tokens: 24, plimsoll: { mode: 'edge' } }, {}, MIXER_KEY);
  const mixed = (await mixing.json()) as Answer;
  // Prompts that are kept, read and erased.
  expect(await chat({ ...marked, max_tokens: 4 }, {}, KEEPER_KEY).then(drained)).toBe(200);
  const samples = async () => (await admin('GET', '/tenants/keeper/samples')).text();
  while (!(await samples()).includes(PROMPT)) await new Promise((resolve) => setTimeout(resolve, 20));
  expect(await admin('DELETE', '/tenants/keeper/samples').then(drained)).toBe(200);
  const statuses = await Promise.all([
    chat({ ...marked, stream: true, max_tokens: 8 }).then(drained),
    chat(ask(`${PROMPT} [[child_abuse=0.99]]`), {}, 'pk-demo-strict').then(drained),
    chat(ask(`${PROMPT} [[classifier:throws]]`)).then(drained),
    chat(marked, {}, KEY).then(drained),
    chat({ ...marked, [PROMPT]: PROMPT, tools: [{ name: PROMPT }] }).then(drained),
    chat({ ...marked, model: PROMPT }).then(drained),
    chat(ask(PROMPT.repeat(200))).then(drained),
    post(edge, '/v1/chat/completions', `{"messages": ${PROMPT}`).then(drained),
    post(edge, '/v1/moderations', { input: PROMPT }).then(drained),
    post(edge, '/tokenize', { model: 'scripted', prompt: PROMPT }).then(drained),
    fetch(`${edge.url}/v1/${PROMPT}?key=${KEY}`).then(drained),
    fetch(`${edge.url}/admin/v1/tenants/x`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${KEY}` },
      body: JSON.stringify({ name: PROMPT }),
    }).then(drained),
    // To the backend itself, with directives and without.
    call(backend.url, generateRequest({ messages: [{ role: 'user', content: PROMPT }], max_tokens: 4 })).then(drained),
    call(backend.url, `{"messages": "${PROMPT}"}`).then(drained),
    call(backend.url, PROMPT).then(drained),
    call(backend.url, generateRequest(), { secret: `${KEY} is no secret of this deployment` }).then(drained),
    call(backend.url, generateRequest({ model: 'another', messages: [{ role: 'user', content: PROMPT }] })).then(
      drained,
    ),
    chat({ ...marked, stream: true }, {}, 'pk-demo-open').then((response) => {
      return response.body!.cancel().then(() => response.status);
    }),
  ]);
  for (const body of [PROMPT, JSON.stringify({ model: 'scripted', messages: PROMPT, prompts: PROMPT, text: PROMPT })]) {
    expect(await brokenOrders(body)).toEqual([400, 400, 400, 401, 401, 401]);
  }
  await brokenSocket();
  // On a busy machine, the edge may also give a backend up.
  expect(statuses).toEqual(expect.arrayContaining([200, 400, 401, 403, 404]));
  // With its backend gone, the edge logs errors of its own, causes included.
  await backend.close();
  expect(await chat(marked).then(drained)).toBe(503);
  await eventually(
    () => linesOf(edgeLog),
    (lines) => lines.some(({ event }) => event === 'request-failed'),
  );
  expect(linesOf(backendLog).some(({ event }) => event === 'request-failed')).toBe(true);

  const written = [...edgeLog, ...backendLog, ...collected].join('\n');
  const answered = choices[0].message.content;
  const mixedAnswer = mixed.choices[0].message.content;
  for (const text of [answered, mixedAnswer]) expect(text.length).toBeGreaterThan(10);
  const marks = [PROMPT, KEY, KEEPER_KEY, MIXER_KEY, answered, mixedAnswer, 'pk-demo', ...secrets];
  for (const mark of marks) expect(written).not.toContain(mark);
  for (const line of linesOf([...edgeLog, ...backendLog])) {
    expect(line).toMatchObject({ level: expect.stringMatching(/^(info|warn|error)$/), event: expect.any(String) });
  }
});

type Answer = { choices: [{ message: { content: string } }] };

/** The statuses of orders for this body, signed by the edge and then by nobody. */
async function brokenOrders(body: string): Promise<number[]> {
  const secret = directiveKey(SECRET);
  const order = async () => ({
    id: crypto.randomUUID(),
    request: 'req_1',
    tenant: 'acme',
    digest: await sha256Hex(body),
  });
  const signed: [string, string][] = [
    [SCORE_PATH, await signScoreOrder(await order(), await scoreKey(secret))],
    [DECODE_PATH, await signDecodeOrder(await order(), await decodeKey(secret))],
    [TOKENIZE_PATH, await signTokenizeOrder(await order(), await tokenizeKey(secret))],
  ];
  const unsigned = signed.map(([route]): [string, string] => [route, KEY]);
  const send = ([route, token]: [string, string]) =>
    fetch(`${backend.url}${route}`, { method: 'POST', headers: { authorization: `Bearer ${token}` }, body });
  return Promise.all([...signed, ...unsigned].map((asked) => send(asked).then(drained)));
}

/** Sockets of an expert: one is refused, and one opens with what is no message. */
async function brokenSocket(): Promise<void> {
  const url = `${backend.url.replace('http', 'ws')}${EXPERTS_PATH}`;
  const directive = {
    ...{ id: crypto.randomUUID(), request: 'req_1', tenant: 'acme', key: 'main', policy: 'p', classifier: 'c' },
    ...{ digest: await sha256Hex(PROMPT), line: { ...OPEN_LINE, mode: 'edge' as const }, second_look: null },
    ...{ expert: 'safety' as const, top_k: null, ahead: 0 },
  };
  const refused = new WebSocket(url, { headers: { [EXPERT_HEADER]: KEY } });
  await expect(once(refused, 'open')).rejects.toThrow('401');
  const token = await signExpertDirective(directive, await expertKey(directiveKey(SECRET), 'safety'));
  const broken = new WebSocket(url, { headers: { [EXPERT_HEADER]: token } });
  await once(broken, 'open');
  broken.send(PROMPT);
  await once(broken, 'close');
}

async function drained(response: Response): Promise<number> {
  await response.text();
  return response.status;
}
