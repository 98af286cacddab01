/**
 * Answers that are given again, at the front door of the real runtime. What the scripted backend
 * says names its seed, and the edge draws one where a client names none. So two answers to one
 * request are the same only if one of them was not made.
 */
import { createHash } from 'node:crypto';
import type { JSONWebKeySet } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ChatCompletion, ChatCompletionChunk } from '#shared/api/chat-answer.ts';
import { verifyEdgeReceipt } from '#shared/protocol/edge-receipt.ts';
import { inspectReceipt } from '#shared/protocol/inspect-receipt.ts';
import { verifyReceipt } from '#shared/protocol/receipt.ts';
import { adminClient } from '../control/admin-client.ts';
import { sha256 } from '../local/seed-demo-tenants.ts';
import { ask, type EdgeUnderTest, eventually, OPERATOR_KEY, startEdgeUnderTest } from '../testing/edge-under-test.ts';
import type { ScriptedBackend } from '../testing/scripted-backend.ts';
import type { AccountCall } from '../testing/worker/account-call.ts';

let under: EdgeUnderTest;
let backend: ScriptedBackend;
let tenant: string;
let count = 0;

const POLICY = { floor: 0.2, budget: null, cache: { answers: true }, limits: { requests_per_minute: 1_000 } };
const keyOf = (id: string) => `pk-test-${id}`;
const admin = () => adminClient(under.edge.url, OPERATOR_KEY);

async function putTenant(id: string, policy: object = POLICY): Promise<void> {
  const keys = ['main', 'other'].map((key) => ({
    id: key,
    sha256: sha256(`${keyOf(id)}${key === 'main' ? '' : '-other'}`),
  }));
  // The cast: a test may say less than a whole policy, and the edge fills in the rest.
  const json = { name: id, policy: policy as typeof POLICY, keys };
  const answer = await admin().tenants[':id'].$put({ param: { id }, json });
  if (!answer.ok) throw new Error(await answer.text());
}

beforeAll(async () => {
  under = await startEdgeUnderTest({ seed: false, backendCount: 1 });
  backend = under.backends[0]!;
});
afterAll(() => under.dispose());
beforeEach(async () => {
  tenant = `cached-${++count}`;
  await putTenant(tenant);
  Object.assign(backend, { behaviour: 'answer', probe: null, bundle: 'b1' });
  backend.seen.length = 0;
});

type Options = { key?: string; headers?: Record<string, string>; signal?: AbortSignal };

/** The same request each time. It draws nothing. */
function chat(body: object = {}, { key = keyOf(tenant), headers = {}, ...rest }: Options = {}): Promise<Response> {
  return fetch(`${under.edge.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ ...ask('Hello there'), temperature: 0, ...body }),
    ...rest,
  });
}
const stateOf = (answer: Response) => answer.headers.get('x-plimsoll-cache');

async function whole(answer: Response): Promise<ChatCompletion & { state: string | null }> {
  return { ...ChatCompletion.parse(await answer.json()), state: stateOf(answer) };
}
async function streamed(answer: Response) {
  const events = (await answer.text()).split('\n\n').filter((event) => event.startsWith('data: '));
  expect(events.at(-1)).toBe('data: [DONE]');
  const chunks = events.slice(0, -1).map((event) => ChatCompletionChunk.parse(JSON.parse(event.slice(6))));
  const content = chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('');
  return { state: stateOf(answer), chunks, content, plimsoll: chunks.at(-1)!.plimsoll! };
}
const contentOf = ({ choices }: ChatCompletion) => choices[0].message.content ?? '';
async function state(body: object = {}, options: Options = {}): Promise<string | null> {
  const answer = await chat(body, options);
  await answer.text();
  return stateOf(answer);
}
async function publishedKeys(): Promise<JSONWebKeySet> {
  // The cast: the route's own test looks at its form.
  return (await (await fetch(`${under.edge.url}/.well-known/jwks.json`)).json()) as JSONWebKeySet;
}

describe('an answer that is given again', () => {
  test('has the words and the receipt of the first, and a receipt of its own that names it', async () => {
    const first = await whole(await chat());
    const answer = await chat();
    const requestId = answer.headers.get('x-request-id');
    expect(Number(answer.headers.get('age'))).toBeGreaterThanOrEqual(0);
    const again = await whole(answer);
    expect([first.state, again.state]).toEqual(['miss', 'hit']);
    expect(backend.seen.length).toBe(1);
    expect(again).toMatchObject({
      id: requestId!.replace('req_', 'chatcmpl-'),
      model: first.model,
      system_fingerprint: first.system_fingerprint,
      choices: first.choices,
      usage: first.usage,
    });
    expect(first.plimsoll.cache).toEqual({ route: 'miss', answer: 'miss' });
    expect(again.plimsoll.cache).toEqual({ route: 'hit', answer: 'hit', receipt: expect.any(String) });
    const { cache: _, ...rest } = first.plimsoll;
    expect(again.plimsoll).toMatchObject(rest);

    const jwks = await publishedKeys();
    const made = await verifyReceipt(again.plimsoll.receipt!, jwks);
    expect(await verifyEdgeReceipt(again.plimsoll.cache!.receipt!, jwks)).toEqual({
      kind: 'cached',
      how: 'hit',
      request: requestId,
      tenant,
      key: 'main',
      policy: again.plimsoll.policy!.version,
      classifier: 'scripted',
      messages_digest: createHash('sha256')
        .update(JSON.stringify(ask('Hello there').messages))
        .digest('hex'),
      first: {
        request: made.request,
        receipt_digest: createHash('sha256').update(first.plimsoll.receipt!).digest('hex'),
      },
      answer_digest: made.answer_digest,
    });
    const evidence = { jwks, first: again.plimsoll.receipt, answer: contentOf(again) };
    const prompt = JSON.stringify({ ...ask('Hello there'), temperature: 0 });
    expect(await inspectReceipt(again.plimsoll.cache!.receipt!, { ...evidence, prompt })).toMatchObject({
      genuine: true,
      kind: 'cached',
    });
  });

  test.each([
    ['a stream', 'a whole answer', false],
    ['a whole answer', 'a stream', true],
  ])('is %s made from %s', async (_to, _from, isStreamFirst) => {
    const stream = { stream: true, stream_options: { include_usage: true } };
    if (isStreamFirst) {
      const first = await streamed(await chat(stream));
      const again = await whole(await chat());
      expect([again.state, contentOf(again), again.usage]).toEqual(['hit', first.content, first.chunks.at(-1)!.usage]);
    } else {
      const first = await whole(await chat());
      const again = await streamed(await chat(stream));
      expect([again.state, again.content]).toEqual(['hit', contentOf(first)]);
      expect(again.chunks.at(-1)!.usage).toEqual(first.usage);
      expect(again.chunks[0]!.choices[0]!.delta.role).toBe('assistant');
      expect(again.plimsoll.receipt).toBe(first.plimsoll.receipt);
    }
    expect(backend.seen.length).toBe(1);
  });

  test('has both receipts with the trace none, and each token with the trace tokens', async () => {
    const none = { plimsoll: { trace: 'none' } };
    await whole(await chat());
    const again = await whole(await chat(none));
    expect(again.state).toBe('hit');
    expect(Object.keys(again.plimsoll).sort()).toEqual(['cache', 'policy', 'receipt']);
    // What experts give a token has to be asked of the backend.
    const traced = { plimsoll: { trace: 'tokens' } };
    const first = await whole(await chat(traced));
    const second = await whole(await chat(traced));
    expect([first.state, second.state]).toEqual(['miss', 'hit']);
    expect(second.plimsoll.tokens).toEqual(first.plimsoll.tokens);
    expect(second.plimsoll.tokens!.length).toBe(13);
  });

  test('may have been drawn, if the client has fixed the seed', async () => {
    const drawn = { temperature: 1, seed: 5 };
    expect([await state(drawn), await state(drawn), await state({ ...drawn, seed: 6 })]).toEqual([
      'miss',
      'hit',
      'miss',
    ]);
    expect(await state({ temperature: 1 })).toBe('off');
    const repeat = { headers: { 'idempotency-key': 'once' } };
    expect([await state({ temperature: 1 }, repeat), await state({ temperature: 1 }, repeat)]).toEqual(['miss', 'hit']);
  });

  test('costs no tokens, and counts as a request', async () => {
    await state();
    await state();
    await state({ stream: true });
    const body: AccountCall = { tenant, call: 'rows', argument: 'SELECT state, tokens FROM charges ORDER BY tokens' };
    const read = async () => {
      const answer = await fetch(`${under.edge.url}/testing/account`, { method: 'POST', body: JSON.stringify(body) });
      return (await answer.json()) as { state: string; tokens: number }[];
    };
    await expect.poll(read).toEqual([
      { state: 'settled', tokens: 0 },
      { state: 'settled', tokens: 0 },
      { state: 'settled', tokens: 15 },
    ]);
  });
});

describe('an answer is not given to', () => {
  test.each<[string, object]>([
    ['a prompt that differs in a letter', { messages: [{ role: 'user', content: 'Hello there.' }] }],
    ['the same words in another role', { messages: [{ role: 'system', content: 'Hello there' }] }],
    ['a request with a stop string', { stop: 'xyz' }],
    ['a request for fewer tokens', { max_tokens: 50 }],
    ['a request with a seed', { seed: 1 }],
    ['a request with another top_p', { top_p: 0.5 }],
    ['a request with a higher floor', { plimsoll: { floor: 0.5 } }],
    ['a request with a budget', { plimsoll: { budget: 3 } }],
  ])('%s', async (_name, body) => {
    expect([await state(), await state(), await state(body)]).toEqual(['miss', 'hit', 'miss']);
  });

  test('another tenant with the same policy, or another key of the same tenant', async () => {
    const stranger = `${tenant}-stranger`;
    await putTenant(stranger);
    const first = await whole(await chat());
    const theirs = await whole(await chat({}, { key: keyOf(stranger) }));
    const others = await whole(await chat({}, { key: `${keyOf(tenant)}-other` }));
    expect([first.state, theirs.state, others.state]).toEqual(['miss', 'miss', 'miss']);
    expect(new Set([first, theirs, others].map(contentOf)).size).toBe(3);
    expect(backend.seen.length).toBe(3);
    expect(await state({}, { key: keyOf(stranger) })).toBe('hit');
  });

  test('anybody under a policy that does not allow it', async () => {
    const { cache: _, ...silent } = POLICY;
    const careful = `${tenant}-careful`;
    await putTenant(careful, silent);
    expect([await state({}, { key: keyOf(careful) }), await state({}, { key: keyOf(careful) })]).toEqual([
      'off',
      'off',
    ]);
    expect(backend.seen.length).toBe(2);
  });

  test('a client that wants a new one, which then takes its place', async () => {
    const first = await whole(await chat());
    const fresh = await whole(await chat({}, { headers: { 'cache-control': 'no-cache' } }));
    const later = await whole(await chat());
    expect([fresh.state, later.state]).toEqual(['miss', 'hit']);
    expect(contentOf(fresh)).not.toBe(contentOf(first));
    expect(contentOf(later)).toBe(contentOf(fresh));
  });

  test('and not kept of, a client that says no-store', async () => {
    const noStore = { headers: { 'cache-control': 'no-store' } };
    expect([await state({}, noStore), await state(), await state({}, noStore)]).toEqual(['off', 'miss', 'off']);
    expect(backend.seen.length).toBe(3);
  });

  test('anybody once other weights serve the model', async () => {
    await state();
    backend.bundle = 'b2';
    // The edge hears of it when it next asks for the backend's health.
    const bundle = async () => {
      const { plimsoll } = await whole(await chat());
      return (await verifyReceipt(plimsoll.receipt!, under.receiptKey.jwks)).bundle;
    };
    await expect.poll(bundle).toBe('b2');
    expect(await state()).toBe('hit');
  });

  test.each<[string, ScriptedBackend['behaviour']]>([
    ['was cut off', 'die-for-good-midway'],
    ['has no end', 'end-without-receipt'],
    ['has a forged receipt', 'forge-receipt'],
  ])('a second client, if it %s', async (_name, behaviour) => {
    backend.behaviour = behaviour;
    expect(await (await chat()).text()).toContain('"error"');
    backend.behaviour = 'answer';
    let answer = await chat();
    // A backend that has broken rests for a moment.
    while (answer.status === 503) answer = await chat();
    expect([answer.status, stateOf(answer), await state()]).toEqual([200, 'miss', 'hit']);
  });

  test('a second client, if the second look at its prompt has refused it', async () => {
    const refusing = `${tenant}-refusing`;
    const violence = { action: 'refuse', ramp: { from: 0.5, full: 0.9 } };
    await putTenant(refusing, { ...POLICY, categories: { violence } });
    backend.probe = { violence: 0.95 };
    const options = { key: keyOf(refusing) };
    const refused = async () => (await whole(await chat({}, options))).choices[0].finish_reason;
    await expect.poll(refused).toBe('content_filter');
    expect(await state({}, options)).toBe('miss');
  });

  test('a key that was revoked, though it is kept', async () => {
    expect([await state(), await state()]).toEqual(['miss', 'hit']);
    const revoked = await admin().tenants[':id'].keys[':key'].$delete({ param: { id: tenant, key: 'main' } });
    expect(revoked.status).toBe(200);
    await expect.poll(async () => (await chat()).status).toBe(401);
  });
});

test('once another policy is active and the bound is over, no answer holds the old line, kept or made', async () => {
  const param = { id: tenant };
  const before = await whole(await chat());
  const json = { policy: { ...POLICY, floor: 0.7 } };
  const { version } = await (await admin().tenants[':id'].policies.$post({ param, json })).json();
  const seen: { askedAtMs: number; floor: number; asBefore: boolean }[] = [];
  let isOver = false;
  const traffic = Array.from({ length: 4 }, async (_, client) => {
    for (let i = 0; !isOver; i++) {
      const askedAtMs = Date.now();
      // Some ask what is kept, others something new.
      const own = i % 2 === 0 ? {} : { messages: [{ role: 'user', content: `Client ${client}, question ${i}` }] };
      const { plimsoll } = await whole(await chat(own));
      seen.push({
        askedAtMs,
        floor: plimsoll.floor!,
        asBefore: plimsoll.policy!.version === before.plimsoll.policy!.version,
      });
    }
  });
  await eventually(
    () => seen.length,
    (answers) => answers > 20,
    60_000,
  );
  const activate = admin().tenants[':id'].policies[':version'].activate;
  await activate.$post({ param: { id: tenant, version }, json: {} }, { headers: { 'if-match': '*' } });
  // The age of an isolate's copy (testing/worker/main.ts). KV's copy is rewritten at once here; its
  // age is measured in tenant-directory.integration.test.ts.
  const boundMs = Date.now() + 300;
  await eventually(
    () => seen.filter(({ askedAtMs }) => askedAtMs > boundMs).length,
    (answers) => answers > 20,
    60_000,
  );
  isOver = true;
  await Promise.all(traffic);
  expect(seen.every(({ floor, asBefore }) => floor === (asBefore ? 0.2 : 0.7))).toBe(true);
  expect(seen.filter(({ askedAtMs, asBefore }) => askedAtMs > boundMs && asBefore)).toEqual([]);
  expect(seen.some(({ asBefore }) => asBefore)).toBe(true);
});
