/**
 * Experts in different pools: real backends over scripted engines, each with one expert, and the
 * Worker in its own runtime, which mixes their rows.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Engine } from '#gpu-backend/engine/engine.ts';
import type { Script } from '#gpu-backend/engine/scripted-experts.ts';
import { babble, startScriptedEngine } from '#gpu-backend/engine/testing/scripted-engine.ts';
import { type Backend, serveEngine, startBackend as startRealBackend } from '#gpu-backend/server/start-backend.ts';
import { DRAW_SECRET, receiptKeys, SECRET } from '#gpu-backend/server/testing/backend-client.ts';
import type { ChatCompletion } from '#shared/api/chat-answer.ts';
import { directiveKey } from '#shared/protocol/directive.ts';
import { helpfulnessSecret } from '#shared/protocol/pool-secret.ts';
import { verifyReceipt } from '#shared/protocol/receipt.ts';
import { adminClient } from '#workers/control/admin-client.ts';
import { sha256 } from '#workers/local/seed-demo-tenants.ts';
import { type Edge, startEdge } from '#workers/local/start-edge.ts';
import { createReceiptKey } from '#workers/testing/receipt-key.ts';

const OPERATOR_KEY = 'pk-demo-operator';
type Role = 'safety' | 'helpfulness' | 'all';

let dataDir: string;
let keys: Awaited<ReturnType<typeof receiptKeys>>;
let edgeKey: Awaited<ReturnType<typeof createReceiptKey>>;
const open: Backend[] = [];
const edges: Edge[] = [];
/** The Worker's log. */
const log: string[] = [];

beforeAll(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), 'plimsoll-mixing-'));
  keys = await receiptKeys();
  edgeKey = await createReceiptKey('edge-key');
});
afterEach(async () => {
  await Promise.all(edges.splice(0).map((edge) => edge.dispose()));
  await Promise.all(open.splice(0).map((backend) => backend.close()));
});
afterAll(() => rm(dataDir, { recursive: true, force: true }));

/** The helpfulness pool has a secret of its own, and neither draws nor signs. */
async function secretsOf(serves: Role) {
  if (serves !== 'helpfulness') {
    return { directiveSecret: SECRET, drawSecret: DRAW_SECRET, receiptPrivateJwk: keys.receiptPrivateJwk };
  }
  const directiveSecret = await helpfulnessSecret(directiveKey(SECRET));
  return { directiveSecret, drawSecret: null, receiptPrivateJwk: null };
}

type Started = { backend: Backend; engine: Engine };

async function startBackend(
  serves: Role,
  name: string = serves,
  script: Parameters<typeof startScriptedEngine>[0] = {},
): Promise<Started> {
  const engine = await startScriptedEngine({ contextLength: 256, stepMs: 1, ...script });
  const config = {
    host: '127.0.0.1',
    port: 0,
    ...(await secretsOf(serves)),
    backendId: name,
    graceMs: 0,
    bodyLimitBytes: 10_000,
    hostNames: null,
    serves,
  };
  const encode = (messages: readonly { content: string }[]) => ({
    promptIds: [...Buffer.from(messages.map(({ content }) => content).join('\n'))],
    rowPrompts: {},
  });
  const vocabulary = { eos: [0], banned: [], bytesOf: (id: number) => (id === 0 ? undefined : Uint8Array.of(id)) };
  const backend = await serveEngine(engine, encode, config, { log: () => {}, vocabulary });
  open.push(backend);
  return { backend, engine };
}

async function startWorker(
  backends: readonly Pick<Started, 'backend'>[],
  overrides: Record<string, string | null> = {},
): Promise<Edge> {
  const edge = await startEdge({
    port: 0,
    dataDir: path.join(dataDir, String(edges.length), crypto.randomUUID()),
    backends: backends.map(({ backend }) => backend.url),
    directiveSecret: SECRET,
    receiptJwks: keys.jwks,
    edgeReceiptJwk: edgeKey.privateJwk,
    operatorKeySha256: sha256(OPERATOR_KEY),
    log: (line) => log.push(line),
    overrides: { EDGE_MIXING_TOP_K: 'all', ...overrides },
  });
  edges.push(edge);
  const policies = { mixed: { floor: 0.3, budget: 12, modes: ['logits', 'edge'] }, plain: { floor: 0.3, budget: 12 } };
  for (const [id, policy] of Object.entries(policies)) {
    const answer = await adminClient(edge.url, OPERATOR_KEY).tenants[':id'].$put({
      param: { id },
      json: { name: id, policy, keys: [{ id: 'main', sha256: sha256(`pk-${id}`) }] },
    } as never);
    if (!answer.ok) throw new Error(`the tenant ${id} was not accepted: ${await answer.text()}`);
  }
  return edge;
}

const BODY = {
  model: 'scripted',
  messages: [{ role: 'user', content: 'Tell me about anchors.' }],
  max_tokens: 24,
  seed: 7,
  temperature: 1,
};

function ask(edge: Edge, body: object = {}, key = 'pk-mixed'): Promise<Response> {
  return fetch(`${edge.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ ...BODY, plimsoll: { mode: 'edge', trace: 'tokens' }, ...body }),
  });
}

async function answered(response: Response): Promise<ChatCompletion> {
  const body = await response.text();
  expect(response.status, `${body}\n${log.join('\n')}`).toBe(200);
  return JSON.parse(body) as ChatCompletion;
}

const idsOf = ({ plimsoll }: ChatCompletion) => plimsoll!.tokens!.map(({ id }) => id);

describe('with whole rows', () => {
  test('an answer mixed at the edge has the ids, the text and the account of one mixed by a backend', async () => {
    const all = [await startBackend('all'), await startBackend('safety'), await startBackend('helpfulness')];
    const edge = await startWorker(all);
    for (const sampling of [
      { temperature: 1 },
      { temperature: 0 },
      { temperature: 0.8, top_p: 0.9, stop: ['e'], seed: 11 },
      { min_p: 0.05, top_k: 20, presence_penalty: 0.5, logit_bias: { 101: -5 }, min_tokens: 4 },
    ]) {
      const mixed = await answered(await ask(edge, sampling));
      const logits = await answered(await ask(edge, { ...sampling, plimsoll: { mode: 'logits', trace: 'tokens' } }));
      expect(idsOf(mixed)).toEqual(idsOf(logits));
      expect(mixed.choices).toEqual(logits.choices);
      const { cached_tokens: _, ...usage } = { cached_tokens: 0, ...logits.usage };
      expect(mixed.usage).toEqual({
        prompt_tokens: usage.prompt_tokens,
        completion_tokens: usage.completion_tokens,
        total_tokens: usage.total_tokens,
      });
      expect(mixed.plimsoll!.spent).toBeCloseTo(logits.plimsoll!.spent!, 6);
      expect(mixed.plimsoll!.weights!.mean).toBeCloseTo(logits.plimsoll!.weights!.mean, 6);
    }
  });

  test('log-probabilities are those that a backend would list, and several answers are refused', async () => {
    const edge = await startWorker([await startBackend('all')]);
    const listed = { logprobs: true, top_logprobs: 2 };
    const mixed = await answered(await ask(edge, listed));
    const logits = await answered(await ask(edge, { ...listed, plimsoll: { mode: 'logits', trace: 'tokens' } }));
    const [own, theirs] = [mixed, logits].map(({ choices }) => choices[0].logprobs!.content);
    expect(own!.map(({ bytes }) => bytes)).toEqual(theirs!.map(({ bytes }) => bytes));
    for (const [i, { logprob, top_logprobs }] of own!.entries()) {
      expect(logprob).toBeCloseTo(theirs![i]!.logprob, 5);
      expect(top_logprobs.map(({ token }) => token)).toEqual(theirs![i]!.top_logprobs.map(({ token }) => token));
    }
    const several = await ask(edge, { n: 2 });
    expect(several.status).toBe(400);
    expect(await several.json()).toMatchObject({ error: { code: 'unsupported_value', param: 'n' } });
  });

  test('the receipt is the edge’s, names both backends, and can be checked by anyone', async () => {
    const edge = await startWorker([await startBackend('safety'), await startBackend('helpfulness')]);
    const answer = await answered(await ask(edge));
    const jwks = await (await fetch(`${edge.url}/.well-known/jwks.json`)).json();
    const receipt = await verifyReceipt(answer.plimsoll!.receipt!, jwks as never);
    expect(receipt).toMatchObject({ backend: 'edge', top_k: null, ran: { safety: 24, helpfulness: 24 } });
    expect(receipt.mixed).toMatchObject({
      safety: [{ backend: 'safety', from: 0, to: 24 }],
      helpfulness: [{ backend: 'helpfulness', from: 0, to: 24 }],
    });
    expect(answer.plimsoll!.mixing).toEqual({
      top_k: null,
      safety: ['safety'],
      helpfulness: ['helpfulness'],
      alone_from: null,
    });
    await expect(verifyReceipt(answer.plimsoll!.receipt!, keys.jwks)).rejects.toThrow();
  });
});

/** The `data:` lines of a stream as they come, until it ends. */
async function* eventsOf(response: Response): AsyncGenerator<string, void, void> {
  let rest = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body!) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop()!;
    for (const line of lines) if (line.startsWith('data: ')) yield line.slice('data: '.length);
  }
}

type Chunk = Omit<ChatCompletion, 'choices'> & { choices: { delta: { content?: string } }[]; error?: { code: string } };

/** Streams an answer, and calls `afterTokens` once, after so many of them. */
async function streamed(
  edge: Edge,
  body: object,
  { tokens, afterTokens }: { tokens: number; afterTokens: () => unknown },
) {
  const response = await ask(edge, { ...body, stream: true });
  expect(response.status, log.join('\n')).toBe(200);
  const ids: number[] = [];
  const chunks: Chunk[] = [];
  let isDone = false;
  for await (const data of eventsOf(response)) {
    if (data === '[DONE]') {
      isDone = true;
      continue;
    }
    const chunk = JSON.parse(data) as Chunk;
    chunks.push(chunk);
    const before = ids.length;
    ids.push(...(chunk.plimsoll?.tokens ?? []).map(({ id }) => id));
    if (before < tokens && ids.length >= tokens) await afterTokens();
  }
  return { ids, chunks, isDone, last: chunks.at(-1)! };
}

const SLOW = { stepMs: 15 };

describe('with rows of the likeliest tokens', () => {
  test('the answer keeps its line, and its receipt says how many tokens a row had', async () => {
    const backends = [await startBackend('safety'), await startBackend('helpfulness')];
    const edge = await startWorker(backends, { EDGE_MIXING_TOP_K: '16' });
    const answer = await answered(await ask(edge));
    expect(answer.usage.completion_tokens).toBe(24);
    expect(answer.plimsoll).toMatchObject({ mode: 'edge', mixing: { top_k: 16, alone_from: null } });
    expect(answer.plimsoll!.spent).toBeLessThanOrEqual(12);
    expect(answer.plimsoll!.weights!.min).toBeGreaterThanOrEqual(0.3);
    expect(idsOf(await answered(await ask(edge)))).toEqual(idsOf(answer));
  });
});

describe('with experts that run ahead', () => {
  test.each(['all', '16'])('an answer has the same ids as without, with rows of %s tokens', async (topK) => {
    // Experts that agree now and then, so that some guesses are right and some are taken back.
    const script: Script = (source, ids) => babble(ids.length % 3 === 0 ? source : 'safety', ids);
    const backends = [
      await startBackend('safety', 's', { script }),
      await startBackend('helpfulness', 'h', { script }),
    ];
    const answers = [];
    for (const ahead of ['0', '5']) {
      const edge = await startWorker(backends, { EDGE_MIXING_TOP_K: topK, EDGE_MIXING_AHEAD: ahead });
      answers.push(await answered(await ask(edge)), await answered(await ask(edge, { temperature: 0.3, stop: ['q'] })));
    }
    expect(idsOf(answers[2]!)).toEqual(idsOf(answers[0]!));
    expect(idsOf(answers[3]!)).toEqual(idsOf(answers[1]!));
    expect(answers[2]!.choices).toEqual(answers[0]!.choices);
  });
});

describe('when the helpfulness pool is gone', () => {
  test('from the start, the safety expert answers alone, and receipt and extension say so', async () => {
    const helpful = await startBackend('helpfulness');
    const edge = await startWorker([await startBackend('safety'), helpful]);
    await answered(await ask(edge));
    await helpful.backend.close();
    const answer = await answered(await ask(edge));
    expect(answer.plimsoll).toMatchObject({ weights: { min: 1, mean: 1, max: 1 }, spent: 0 });
    expect(answer.plimsoll!.mixing).toMatchObject({ helpfulness: [], alone_from: 0 });
    const receipt = await verifyReceipt(answer.plimsoll!.receipt!, edgeKey.jwks);
    expect(receipt.ran).toEqual({ safety: 24 });
  });

  test('in the middle, the safety expert goes on alone', async () => {
    const helpful = await startBackend('helpfulness', 'h', SLOW);
    const edge = await startWorker([await startBackend('safety', 's', SLOW), helpful]);
    const { ids, isDone, last } = await streamed(edge, {}, { tokens: 5, afterTokens: () => helpful.backend.close() });
    expect(ids).toHaveLength(24);
    expect(isDone).toBe(true);
    const { alone_from: from } = last.plimsoll!.mixing!;
    expect(from).toBeGreaterThanOrEqual(5);
    expect(from).toBeLessThan(24);
    const receipt = await verifyReceipt(last.plimsoll!.receipt!, edgeKey.jwks);
    expect(receipt.ran).toEqual({ safety: 24, helpfulness: from });
  });
});

test('rows of the helpfulness expert that could not be used have not run, and the answer says so', async () => {
  const script: Script = (source, ids) =>
    source === 'helpfulness' ? Array.from(babble(source, ids), () => Number.NaN) : babble(source, ids);
  const edge = await startWorker([await startBackend('safety'), await startBackend('helpfulness', 'h', { script })]);
  const answer = await answered(await ask(edge));
  expect(answer.plimsoll!.mixing).toMatchObject({ helpfulness: [], alone_from: 0 });
  const receipt = await verifyReceipt(answer.plimsoll!.receipt!, edgeKey.jwks);
  expect(receipt).toMatchObject({ ran: { safety: 24 }, weights: { min: 1 } });
});

test('a backend of the helpfulness pool is no backend of the safety expert, whatever it says', async () => {
  const helpful = await startBackend('helpfulness');
  const boasts = await startBackend('all', 'boasts');
  const edge = await startWorker([helpful], { HELPFULNESS_BACKENDS: JSON.stringify([boasts.backend.url]) });
  const response = await ask(edge);
  expect(response.status).toBe(503);
  expect(await response.json()).toMatchObject({ error: { code: 'backend_unavailable' } });
  const logits = await ask(edge, { plimsoll: { mode: 'logits' } });
  expect(await logits.json()).toMatchObject({ error: { code: 'unsupported_value', param: 'plimsoll.mode' } });
  expect(boasts.engine.stats().running).toBe(0);
});

test('the list of models names the mode where the tenant may ask for it and both pools are known', async () => {
  const modesOf = async (edge: Edge, key: string) => {
    const listed = await fetch(`${edge.url}/v1/models`, { headers: { authorization: `Bearer ${key}` } });
    const { data } = (await listed.json()) as { data: { plimsoll: { modes: string[] } }[] };
    return data[0]!.plimsoll.modes;
  };
  const all = await startBackend('all');
  const edge = await startWorker([all]);
  expect(await modesOf(edge, 'pk-mixed')).toEqual(['logits', 'edge']);
  expect(await modesOf(edge, 'pk-plain')).toEqual(['logits']);
  expect(await modesOf(await startWorker([await startBackend('safety')]), 'pk-mixed')).toEqual([]);
  const unsigned = await startWorker([all], { EDGE_RECEIPT_JWK: null });
  expect(await modesOf(unsigned, 'pk-mixed')).toEqual(['logits']);
  const page = await (await fetch(edge.url, { headers: { accept: 'text/html' } })).text();
  expect(page).not.toContain('mode edge');
});

describe('when the safety pool is gone', () => {
  test('from the start, the request is refused and nothing is drawn', async () => {
    const safety = await startBackend('safety');
    const edge = await startWorker([safety, await startBackend('helpfulness')]);
    await answered(await ask(edge));
    await safety.backend.close();
    const response = await ask(edge);
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ error: { code: 'backend_unavailable' } });
  });

  test('in the middle, the answer breaks off with an error and never with a normal ending', async () => {
    const safety = await startBackend('safety', 's', SLOW);
    const edge = await startWorker([safety, await startBackend('helpfulness', 'h', SLOW)]);
    const broken = await streamed(edge, {}, { tokens: 5, afterTokens: () => safety.backend.close() });
    expect(broken.isDone).toBe(false);
    expect(broken.last.error?.code).toBe('backend_unavailable');
    expect(broken.ids.length).toBeLessThan(24);
  });

  test('but for one of its backends, another one goes on, and no token is another', async () => {
    const backends = [
      await startBackend('safety', 's1', SLOW),
      await startBackend('safety', 's2', SLOW),
      await startBackend('helpfulness', 'h', SLOW),
    ];
    const edge = await startWorker(backends);
    const whole = await answered(await ask(edge));
    const [first] = whole.plimsoll!.mixing!.safety;
    const dies = backends.find((_, i) => ['s1', 's2', 'h'][i] === first)!;
    const { ids, last } = await streamed(edge, {}, { tokens: 5, afterTokens: () => dies.backend.close() });
    expect(ids).toEqual(idsOf(whole));
    expect(last.plimsoll!.mixing).toMatchObject({ safety: [first, first === 's1' ? 's2' : 's1'], alone_from: null });
  });
});

test('a client that leaves frees the rows of both experts', async () => {
  const backends = [await startBackend('safety', 's', SLOW), await startBackend('helpfulness', 'h', SLOW)];
  const edge = await startWorker(backends);
  const leaves = new AbortController();
  const response = await fetch(`${edge.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: 'Bearer pk-mixed', 'content-type': 'application/json' },
    body: JSON.stringify({ ...BODY, max_tokens: 200, stream: true, plimsoll: { mode: 'edge', trace: 'tokens' } }),
    signal: leaves.signal,
  });
  for await (const data of eventsOf(response)) if (data.includes('"id"')) break;
  leaves.abort();
  await expect.poll(() => backends.map(({ engine }) => engine.stats().rows)).toEqual([0, 0]);
});

test('a tenant whose policy does not list the mode may not use it, and a backend of one expert answers nothing', async () => {
  const edge = await startWorker([await startBackend('safety'), await startBackend('helpfulness')]);
  expect((await ask(edge, {}, 'pk-plain')).status).toBe(403);
  const logits = await ask(edge, { plimsoll: { mode: 'logits' } });
  expect(await logits.json()).toMatchObject({ error: { code: 'unsupported_value', param: 'plimsoll.mode' } });
});

test('two backends of the demo’s bundle, one expert each, give the answer of one backend with both', async () => {
  const bundle = path.join(import.meta.dirname, '../models/demo');
  const started = await Promise.all(
    (['all', 'safety', 'helpfulness'] as const).map(async (serves) =>
      startRealBackend(
        {
          bundle,
          port: 0,
          ...(await secretsOf(serves)),
          backendId: serves,
          threads: 1,
          context: 256,
          graceMs: 0,
          serves,
        },
        { log: () => {} },
      ),
    ),
  );
  open.push(...started);
  const edge = await startWorker(started.map((backend) => ({ backend })));
  const demo = { model: 'plimsoll-demo', max_tokens: 32 };
  const mixed = await answered(await ask(edge, demo));
  const logits = await answered(await ask(edge, { ...demo, plimsoll: { mode: 'logits', trace: 'tokens' } }));
  expect(idsOf(mixed)).toEqual(idsOf(logits));
  expect(mixed.choices).toEqual(logits.choices);
  expect(mixed.plimsoll!.weights!.mean).toBeCloseTo(logits.plimsoll!.weights!.mean, 4);
});
