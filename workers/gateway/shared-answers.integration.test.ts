/** Equal requests at the same time, in the real runtime: one answer is made, and all get it. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { verifyEdgeReceipt } from '#shared/protocol/edge-receipt.ts';
import { adminClient } from '../control/admin-client.ts';
import { sha256 } from '../local/seed-demo-tenants.ts';
import { ask, type EdgeUnderTest, eventually, OPERATOR_KEY, startEdgeUnderTest } from '../testing/edge-under-test.ts';
import type { ScriptedBackend } from '../testing/scripted-backend.ts';
import type { AccountCall } from '../testing/worker/account-call.ts';

let under: EdgeUnderTest;
let backend: ScriptedBackend;
let tenant: string;
let count = 0;

async function putTenant(id: string, limits: object): Promise<void> {
  const json = {
    name: id,
    policy: { floor: 0.2, budget: null, cache: { answers: true }, limits },
    keys: [{ id: 'main', sha256: sha256(`pk-test-${id}`) }],
  };
  const answer = await adminClient(under.edge.url, OPERATOR_KEY).tenants[':id'].$put({ param: { id }, json });
  if (!answer.ok) throw new Error(await answer.text());
}

beforeAll(async () => {
  under = await startEdgeUnderTest({ seed: false, contextOf: () => 200 });
  backend = under.backends[0]!;
});
afterAll(() => under.dispose());
beforeEach(async () => {
  tenant = `shared-${++count}`;
  await putTenant(tenant, { requests_per_minute: 1_000 });
  backend.behaviour = 'answer-slowly';
  backend.seen.length = 0;
});

function chat(
  body: object = {},
  { id = tenant, signal }: { id?: string; signal?: AbortSignal } = {},
): Promise<Response> {
  return fetch(`${under.edge.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer pk-test-${id}`, 'content-type': 'application/json' },
    body: JSON.stringify({ ...ask('Hello there'), temperature: 0, ...body }),
    ...(signal !== undefined && { signal }),
  });
}
type Told = {
  state: string | null;
  status: number;
  text: string;
  content: string;
  receipt: string;
  own: string | undefined;
};

/** What a client was told, streamed or whole. */
async function read(answer: Response): Promise<Told> {
  const text = await answer.text();
  const isStream = answer.headers.get('content-type')?.startsWith('text/event-stream') === true;
  const events = isStream
    ? text
        .split('\n\n')
        .filter((event) => event.startsWith('data: {'))
        .map((event) => JSON.parse(event.slice(6)))
    : [JSON.parse(text)];
  const content = events
    .map(({ choices }) => choices?.[0]?.delta?.content ?? choices?.[0]?.message?.content ?? '')
    .join('');
  const { receipt, cache } = events.at(-1).plimsoll ?? {};
  return {
    state: answer.headers.get('x-plimsoll-cache'),
    status: answer.status,
    text,
    content,
    receipt,
    own: cache?.receipt,
  };
}
async function charges(of = tenant): Promise<number[]> {
  const body: AccountCall = { tenant: of, call: 'rows', argument: 'SELECT state, tokens FROM charges ORDER BY tokens' };
  for (;;) {
    const answer = await fetch(`${under.edge.url}/testing/account`, { method: 'POST', body: JSON.stringify(body) });
    const rows = (await answer.json()) as { state: string; tokens: number }[];
    if (rows.every(({ state }) => state === 'settled')) return rows.map(({ tokens }) => tokens);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
const hasBegun = () =>
  eventually(
    () => backend.seen.length,
    (requests) => requests > 0,
  );

test('one of them is made and paid for, and all get the same, streamed or whole', async () => {
  const answers = await Promise.all(
    Array.from({ length: 12 }, async (_, i) => read(await chat({ stream: i % 2 === 0 }))),
  );
  expect(backend.seen.length).toBe(1);
  expect(new Set(answers.map(({ content }) => content)).size).toBe(1);
  expect(answers[0]!.content).toMatch(/^The answer to seed \d+ is ⚓ and no more\.$/);
  expect(new Set(answers.map(({ receipt }) => receipt)).size).toBe(1);
  const states = answers.map(({ state }) => state).sort();
  expect(states).toEqual([...Array(11).fill('coalesced'), 'miss']);
  for (const { state, own } of answers) {
    if (state === 'miss') expect(own).toBeUndefined();
    else
      expect(await verifyEdgeReceipt(own!, under.edgeKey.jwks)).toMatchObject({
        kind: 'cached',
        how: 'coalesced',
        tenant,
      });
  }
  expect(await charges()).toEqual([...Array(11).fill(0), 15]);
});

test('other tenants make their own', async () => {
  const other = `${tenant}-other`;
  await putTenant(other, {});
  const [mine, theirs] = await Promise.all([chat().then(read), chat({}, { id: other }).then(read)]);
  expect(backend.seen.length).toBe(2);
  expect(mine!.content).not.toBe(theirs!.content);
});

describe.each([true, false])('when the first client leaves (its answer is streamed: %s)', (stream) => {
  test('the others still get all of it, and it is paid for once', async () => {
    // It takes its time after the start.
    backend.behaviour = 'read-first';
    const leaving = new AbortController();
    const gone = chat({ stream }, { signal: leaving.signal })
      .then((answer) => answer.text())
      .catch(() => 'gone');
    await hasBegun();
    const following = await chat({ stream: true });
    const another = chat().then(read);
    const aborted = backend.aborted;
    leaving.abort();
    expect(await gone).toBe('gone');
    const streamed = await read(following);
    expect(streamed.state).toBe('coalesced');
    expect(streamed.text).toContain('data: [DONE]');
    expect(streamed.content).toMatch(/and no more\.$/);
    expect((await another).content).toBe(streamed.content);
    expect([backend.seen.length, backend.aborted]).toEqual([1, aborted]);
    expect(await charges()).toEqual([0, 0, 15]);
    // It is kept, too.
    expect((await read(await chat())).state).toBe('hit');
  });

  test('and all others as well, the backend is told to stop', async () => {
    backend.behaviour = 'answer-forever';
    const aborted = backend.aborted;
    const clients = Array.from({ length: 3 }, () => new AbortController());
    const gone = clients.map(({ signal }) =>
      chat({ stream }, { signal })
        .then((answer) => answer.text())
        .catch(() => 'gone'),
    );
    await hasBegun();
    await new Promise((resolve) => setTimeout(resolve, 300));
    clients[0]!.abort();
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(backend.aborted).toBe(aborted);
    for (const client of clients) client.abort();
    expect(await Promise.all(gone)).toEqual(['gone', 'gone', 'gone']);
    await eventually(
      () => backend.aborted,
      (now) => now === aborted + 1,
      20_000,
    );
    expect(backend.seen.length).toBe(1);
    // What was drawn for them all is paid for.
    expect((await charges()).filter((tokens) => tokens > 0).length).toBe(1);
  });
});

describe('when the answer fails', () => {
  test('before it begins, all get the error and its status', async () => {
    backend.behaviour = 'refuse-overloaded';
    const answers = await Promise.all(Array.from({ length: 4 }, async () => read(await chat())));
    expect(answers.map(({ status }) => status)).toEqual([503, 503, 503, 503]);
    backend.behaviour = 'answer';
    expect((await read(await chat())).state).toBe('miss');
  });

  test('in the middle, no stream ends as if it were whole', async () => {
    backend.behaviour = 'die-for-good-midway';
    const answers = await Promise.all(Array.from({ length: 4 }, async () => read(await chat({ stream: true }))));
    for (const { text } of answers) {
      expect(text).toContain('"error"');
      expect(text).not.toContain('[DONE]');
    }
    backend.behaviour = 'answer';
    await expect.poll(async () => (await read(await chat())).status).toBe(200);
  });
});

test('while the first waits at its backend, the others are told to wait as well', async () => {
  backend.behaviour = 'wait-first';
  const answers = await Promise.all(Array.from({ length: 3 }, async () => read(await chat({ stream: true }))));
  expect(new Set(answers.map(({ content }) => content)).size).toBe(1);
  expect(backend.seen.length).toBe(1);
});
