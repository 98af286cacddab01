/**
 * Every key of a deployment is changed under traffic: directive secret, draw secret, the backends'
 * receipt key and the edge's. Real edges in workerd, real backends over a scripted engine, in the
 * order that docs/operations.md gives. No request may fail, and old receipts stay valid.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { decodeProtectedHeader } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startScriptedEngine } from '#gpu-backend/engine/testing/scripted-engine.ts';
import { type Backend, serveEngine } from '#gpu-backend/server/start-backend.ts';
import { importDrawSecret } from '#shared/protocol/derive-draw-key.ts';
import { inspectReceipt } from '#shared/protocol/inspect-receipt.ts';
import { verifyReceipt } from '#shared/protocol/receipt.ts';
import { seedDemoTenants, sha256 } from '#workers/local/seed-demo-tenants.ts';
import { type Edge, startEdge } from '#workers/local/start-edge.ts';
import { ask, OPERATOR_KEY, post } from '#workers/testing/edge-under-test.ts';
import { createReceiptKey, type ReceiptKey } from '#workers/testing/receipt-key.ts';

const ENTRY = fileURLToPath(new URL('../workers/testing/worker/main.ts', import.meta.url));
/** Traffic that has to go well after each step. */
const REQUESTS_A_STEP = 12;

/** Everything that a deployment has of one generation of keys. */
type Generation = { directive: string; draws: string; receipt: ReceiptKey; edge: ReceiptKey };
const generation = async (name: string): Promise<Generation> => ({
  directive: `directive secret of the ${name} generation`,
  draws: `draw secret of the ${name} generation, 32 bytes`,
  receipt: await createReceiptKey(`backends-${name}`),
  edge: await createReceiptKey(`edge-${name}`),
});
const [old, next] = [await generation('old'), await generation('next')];

let folder: string;
const open: { close(): Promise<void> }[] = [];
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'plimsoll-rotation-'));
});
afterAll(async () => {
  await Promise.all(open.map((each) => each.close()));
  await rm(folder, { recursive: true, force: true });
});

async function backend(
  keys: Generation,
  { port = 0, former = [] as Generation[], backendId = 'b1', graceMs = 5_000, stepMs = 0 } = {},
): Promise<Backend> {
  const started = await serveEngine(
    await startScriptedEngine({ stepMs }),
    (messages) => ({ promptIds: [...Buffer.from(messages.map(({ content }) => content).join('\n'))], rowPrompts: {} }),
    {
      host: '127.0.0.1',
      port,
      directiveSecret: keys.directive,
      oldDirectiveSecrets: former.map(({ directive }) => directive),
      drawSecret: keys.draws,
      oldDrawSecrets: former.map(({ draws }) => draws),
      receiptPrivateJwk: keys.receipt.privateJwk,
      backendId,
      graceMs,
      bodyLimitBytes: 10_000,
      hostNames: null,
    },
    { log: () => {} },
  );
  open.push(started);
  return started;
}

async function edge(
  backends: readonly Backend[],
  { directive, receipts, own }: { directive: Generation; receipts: Generation[]; own: Generation[] },
): Promise<Edge> {
  const [signs, ...former] = own;
  const started = await startEdge({
    port: 0,
    dataDir: await mkdtemp(path.join(folder, 'edge-')),
    backends: backends.map(({ url }) => url),
    directiveSecret: directive.directive,
    receiptJwks: { keys: receipts.flatMap(({ receipt }) => receipt.jwks.keys) },
    operatorKeySha256: sha256(OPERATOR_KEY),
    // A backend that was restarted rests for a tenth of a second there, and not for up to 15 s.
    entry: ENTRY,
    overrides: {
      EDGE_RECEIPT_JWK: JSON.stringify({
        keys: [signs!.edge.privateJwk, ...former.flatMap((each) => each.edge.jwks.keys)],
      }),
    },
  });
  open.push({ close: () => started.dispose() });
  await seedDemoTenants(started.url, OPERATOR_KEY);
  return started;
}

type Answered = { status: number; token: string; kid: string | undefined; draws: string; fingerprint: string };

async function answered(at: Edge): Promise<Answered> {
  const response = await post(at, '/v1/chat/completions', { ...ask('Hello'), seed: 7, max_tokens: 8 });
  // The cast: the test is about whether it is one.
  const body = (await response.json()) as { system_fingerprint: string; plimsoll?: { receipt: string } };
  const token = body.plimsoll?.receipt;
  if (token === undefined) return { status: response.status, token: '', kid: '', draws: '', fingerprint: '' };
  const keys = await fetch(`${at.url}/.well-known/jwks.json`);
  const { genuine, receipt } = await inspectReceipt(token, { jwks: (await keys.json()) as ReceiptKey['jwks'] });
  return {
    status: genuine ? response.status : 0,
    token,
    kid: decodeProtectedHeader(token).kid,
    draws: receipt !== null && 'draws' in receipt ? receipt.draws : '',
    fingerprint: body.system_fingerprint,
  };
}

async function allAlive(url: string): Promise<void> {
  for (;;) {
    // The cast: the schema of this answer is the edge's own.
    const { backends } = (await (await fetch(`${url}/healthz`)).json()) as {
      backends: { alive: number; total: number };
    };
    if (backends.alive === backends.total) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test('in the documented order, no request fails, and receipts of both generations verify at the end', async () => {
  const backends = [await backend(old), await backend(old)];
  const edges = [await edge(backends, { directive: old, receipts: [old], own: [old] })];
  const seen: Answered[] = [];
  let running = true;
  const client = async () => {
    for (let i = 0; running; i++) seen.push(await answered(edges[i % edges.length]!));
  };
  const clients = [client(), client()];
  /** Goes on only once requests that began after the step have been answered. */
  const step = async (change: () => Promise<void>): Promise<Answered[]> => {
    await change();
    const from = seen.length;
    while (seen.length < from + REQUESTS_A_STEP) await new Promise((resolve) => setTimeout(resolve, 20));
    return seen.slice(from + clients.length);
  };
  const restart = async (index: number, keys: Generation, former: Generation[]) => {
    const { url, close } = backends[index]!;
    await close();
    backends[index] = await backend(keys, { port: Number(new URL(url).port), former });
    // Only when every edge has heard that it is back, the other one may go.
    await Promise.all(edges.map(({ url }) => allAlive(url)));
  };

  const before = await step(async () => {});
  expect(new Set(before.map(({ kid }) => kid))).toEqual(new Set(['backends-old']));

  // 1. The edge publishes the backends' next key, and signs its own receipts with its next one.
  await step(async () => {
    edges.push(await edge(backends, { directive: old, receipts: [old, next], own: [next, old] }));
  });
  await step(async () => void edges.shift());

  // 2. The backends take both directive secrets, and draw and sign with the next ones.
  const during = await step(async () => {
    await restart(0, next, [old]);
    await restart(1, next, [old]);
  });
  expect(new Set(during.map(({ kid }) => kid))).toEqual(new Set(['backends-next']));

  // 3. The edge signs directives with the next secret. For a while, old edges and new ones run.
  await step(async () => {
    edges.push(await edge(backends, { directive: next, receipts: [old, next], own: [next, old] }));
  });
  await step(async () => void edges.shift());

  // 4. The backends forget what was before.
  const after = await step(async () => {
    await restart(0, next, []);
    await restart(1, next, []);
  });
  running = false;
  await Promise.all(clients);

  expect(seen.filter(({ status }) => status !== 200)).toEqual([]);
  // Equal requests have equal draws only under one secret, and the answers say so.
  const [first, last] = [before.at(0)!, after.at(-1)!];
  expect(first.draws).toBe((await importDrawSecret(old.draws)).id);
  expect(last.draws).toBe((await importDrawSecret(next.draws)).id);
  expect(last.fingerprint).not.toBe(first.fingerprint);
  const keys = await fetch(`${edges[0]!.url}/.well-known/jwks.json`);
  const jwks = (await keys.json()) as ReceiptKey['jwks'];
  for (const { token } of [first, last]) expect((await inspectReceipt(token, { jwks })).genuine).toBe(true);
});

test('a step too early shows at once: the edge first with a directive secret, or the backends with a receipt key', async () => {
  const current = await backend(old);
  const early = await edge([current], { directive: next, receipts: [old], own: [old] });
  // A slow answer has sent its status before it fails, so only the code counts.
  expect(await codeOf(post(early, '/v1/chat/completions', ask('Hello')))).toBe('internal_error');

  const ahead = await backend({ ...old, receipt: next.receipt });
  const behind = await edge([ahead], { directive: old, receipts: [old], own: [old] });
  expect(await codeOf(post(behind, '/v1/chat/completions', ask('Hello')))).toBe('receipt_invalid');
});

test('an answer that goes on in the middle of a change keeps the secrets that it began with', async () => {
  const slow = { stepMs: 20, graceMs: 0 };
  const before = await backend(old, { ...slow, backendId: 'before' });
  const after = await backend(next, { ...slow, former: [old], backendId: 'after' });
  const deployed = await edge([before, after], { directive: old, receipts: [old, next], own: [old] });
  const jwks = { keys: [...old.receipt.jwks.keys, ...next.receipt.jwks.keys] };
  const body = (prompt: string) => ({ ...ask(prompt), seed: 7, max_tokens: 40 });
  const whole = async (prompt: string) => {
    const answer = await post(deployed, '/v1/chat/completions', body(prompt));
    // The cast: the receipt says the same, and is checked.
    const { choices, plimsoll } = (await answer.json()) as Whole;
    return { text: choices[0].message.content, receipt: await verifyReceipt(plimsoll.receipt, jwks) };
  };
  // A prompt that belongs to the backend with the old secrets.
  let prompt = 'Hello';
  let unbroken = await whole(prompt);
  for (let i = 0; unbroken.receipt.backend !== 'before'; i++) {
    prompt = `Hello ${i}`;
    unbroken = await whole(prompt);
  }

  const streamed = await post(deployed, '/v1/chat/completions', { ...body(prompt), stream: true });
  let events = '';
  for await (const piece of streamed.body!.pipeThrough(new TextDecoderStream())) {
    events += piece;
    // It ends what it has begun, with an error.
    if (/"content":"[^"]/.test(events)) void before.close();
  }
  expect(events).toMatch(/data: \[DONE\]\n\n$/);
  const chunks = [...events.matchAll(/^data: (\{.*)$/gm)].map(([, chunk]) => JSON.parse(chunk!) as Chunk);
  const text = chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('');
  const token = chunks.findLast(({ plimsoll }) => plimsoll?.receipt !== undefined)!.plimsoll!.receipt!;
  const receipt = await verifyReceipt(token, jwks);
  expect(text).toBe(unbroken.text);
  expect(receipt.parts.map((part) => part.backend)).toEqual(['before', 'after']);
  expect(decodeProtectedHeader(token).kid).toBe('backends-next');
  expect(receipt.draws).toBe((await importDrawSecret(old.draws)).id);
});

type Whole = { choices: [{ message: { content: string } }]; plimsoll: { receipt: string } };
type Chunk = { choices: [{ delta: { content?: string } }?]; plimsoll?: { receipt?: string } };

async function codeOf(answer: Promise<Response>): Promise<string> {
  // The cast: the test is about whether it is an error.
  return ((await (await answer).json()) as { error: { code: string } }).error.code;
}
