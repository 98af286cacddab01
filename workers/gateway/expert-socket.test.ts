/** One expert over a socket, with a backend that a test plays. */
import { inspect } from 'node:util';
import { afterEach, expect, test, vi } from 'vitest';
import { PlimsollError } from '#shared/api/errors.ts';
import { OPEN_LINE } from '#shared/line/line.ts';
import { directiveKey } from '#shared/protocol/directive.ts';
import {
  EXPERT_HEADER,
  expertKeysOf,
  helpfulnessKeysOf,
  ROLES,
  type Role,
  verifyExpertDirective,
} from '#shared/protocol/expert-directive.ts';
import { encodeRow, type Said, SILENT_EDGE_MS } from '#shared/protocol/expert-messages.ts';
import { helpfulnessKey } from '#shared/protocol/pool-secret.ts';
import { type OpenSocket, openSession } from './expert-socket.ts';
import { unheard } from './pool-member.ts';

afterEach(() => vi.useRealTimers());

const KEY = directiveKey('a secret of at least 32 bytes, for tests');
const START: Said = {
  type: 'start',
  backend: 'b',
  model: 'm',
  bundle: 'x',
  vocab_size: 1,
  draws: 'd',
  experts: { safety: { kind: 'adapter' }, helpfulness: { kind: 'base' } },
  prompt_tokens: 3,
  most_tokens: 9,
  proposal: 0.5,
  key: [1, 2, 3, 4],
};

/** A backend of which the test decides what it says. */
function backend({
  starts = START as Said | null,
  silenceMs = 10_000,
  topK = null as number | null,
  opens = Promise.resolve(),
  expert = 'safety' as Role,
  serves = [] as readonly Role[],
} = {}) {
  const heard: unknown[] = [];
  const listeners: Record<string, (event: { data: unknown }) => void> = {};
  const headers: Record<string, string>[] = [];
  let isClosed = false;
  const say = (said: Said | string | ArrayBuffer) =>
    listeners.message?.({
      data: said instanceof ArrayBuffer || typeof said === 'string' ? said : JSON.stringify(said),
    });
  const openSocket: OpenSocket = async (_, given) => {
    headers.push(given);
    await opens;
    return {
      send: (text) => {
        heard.push(JSON.parse(text));
        if (heard.length === 1 && starts !== null) say(starts);
      },
      close: () => {
        isClosed = true;
      },
      addEventListener: (type: string, listener: (event: { data: unknown }) => void) => {
        listeners[type] = listener;
      },
    };
  };
  const row = (position: number, { epoch = 0, draft = null as number | null, logit = 0 } = {}) =>
    say(encodeRow({ epoch, position, draft, half: new Float64Array(), logits: Float32Array.of(logit) }).buffer);
  const leaves = new AbortController();
  let underWay = 0;
  const open = () =>
    openSession(
      { ...unheard('http://b'), model: 'm', serves },
      {
        directive: {
          request: 'r',
          tenant: 't',
          key: 'k',
          policy: 'p',
          classifier: 'c',
          digest: '0'.repeat(64),
          line: { ...OPEN_LINE, mode: 'edge' },
          second_look: null,
          expert,
          top_k: topK,
          ahead: 2,
        },
        directiveKey: KEY,
        body: '{}',
        ids: [],
        draws: null,
        vocabulary: true,
        headers: {},
        signal: leaves.signal,
        openSocket,
        load: {
          begin: () => {
            underWay++;
            let isOver = false;
            return () => {
              if (!isOver) underWay--;
              isOver = true;
            };
          },
        },
        silenceMs,
        onWaiting: () => {},
      },
    );
  return {
    ...{ open, say, row, heard, headers, leaves },
    drop: () => listeners.close?.({ data: null }),
    isClosed: () => isClosed,
    underWay: () => underWay,
  };
}

const wholeRow = (logits: Float32Array) =>
  encodeRow({ epoch: 0, position: 0, draft: null, half: new Float64Array(), logits }).buffer;
const topRow = (ids: Int32Array, left = 0) =>
  encodeRow({
    ...{ epoch: 0, position: 0, draft: null, half: new Float64Array(), ids, left },
    logprobs: new Float64Array(ids.length).fill(Math.log((1 - left) / ids.length)),
  }).buffer;

const logitOf = (row: object) => ('logits' in row ? (row.logits as Float32Array)[0] : null);

test('it opens with a directive of its own and the request', async () => {
  const { open, heard, headers } = backend();
  const { start, directive } = await open();
  expect(start).toEqual(START);
  expect(heard).toEqual([{ type: 'open', body: '{}', ids: [], draws: null, vocabulary: true }]);
  const read = await verifyExpertDirective(headers[0]![EXPERT_HEADER], await expertKeysOf([KEY]));
  expect(read).toMatchObject({ id: directive, expert: 'safety', ahead: 2 });
});

test('a backend of the helpfulness pool is asked under its own key, and one of both experts under another', async () => {
  const [pool, whole] = [await helpfulnessKeysOf([await helpfulnessKey(KEY)]), await expertKeysOf([KEY])];
  for (const [serves, mine, others] of [[['helpfulness'], pool, whole] as const, [ROLES, whole, pool] as const]) {
    const { open, headers } = backend({ expert: 'helpfulness', serves });
    await open();
    const token = headers[0]![EXPERT_HEADER];
    expect(await verifyExpertDirective(token, mine)).toMatchObject({ expert: 'helpfulness' });
    await expect(verifyExpertDirective(token, others)).rejects.toMatchObject({ code: 'directive_invalid' });
  }
});

test('rows that run ahead count as long as the guesses are right, and none of them after a wrong one', async () => {
  const { open, row, heard } = backend();
  const session = await open();
  row(0, { draft: 7, logit: 10 });
  row(1, { draft: 8, logit: 11 });
  row(2, { logit: 12 });
  expect(logitOf(await session.row(0))).toBe(10);
  session.take(0, 7);
  expect(logitOf(await session.row(1))).toBe(11);
  session.take(1, 9);
  const next = session.row(2);
  // One that was on its way, about a text that never was.
  row(2, { logit: 13 });
  row(2, { epoch: 1, logit: 14 });
  expect(logitOf(await next)).toBe(14);
  expect(heard.slice(1)).toEqual([
    { type: 'take', at: 0, id: 7, epoch: 0 },
    { type: 'take', at: 1, id: 9, epoch: 1 },
  ]);
});

test.each<[string, (played: ReturnType<typeof backend>) => void, string]>([
  ['closes', ({ drop }) => drop(), 'backend_unavailable'],
  ['says what is no message', ({ say }) => say('{"type":"token"}'), 'backend_unavailable'],
  ['sends bytes that are no row', ({ say }) => say(new ArrayBuffer(5)), 'backend_unavailable'],
  ['says an error', ({ say }) => say({ type: 'error', code: 'expert_failed', message: 'no' }), 'expert_failed'],
  ['has lost its client', ({ leaves }) => leaves.abort(), 'backend_unavailable'],
])('a backend that %s ends the wait for a row, and nothing is left under way', async (_, act, code) => {
  const played = backend();
  const session = await played.open();
  const row = session.row(0);
  act(played);
  await expect(row).rejects.toMatchObject({ code });
  await expect(session.row(0)).rejects.toBeInstanceOf(PlimsollError);
  expect(played.isClosed()).toBe(true);
  expect(played.underWay()).toBe(0);
});

test('no word of a message that is broken is in the error or its causes, because they go to the log', async () => {
  const played = backend();
  const session = await played.open();
  const row = session.row(0);
  played.say('a secret answer"}');
  const error = await row.catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'backend_unavailable', cause: { message: expect.stringMatching(/^no JSON/) } });
  expect(inspect(error, { depth: 10 })).not.toMatch(/secret/);
});

test.each([
  ['a row of another vocabulary', null, wholeRow(new Float32Array(2))],
  ['the likeliest tokens, and not the whole row', null, topRow(Int32Array.of(0))],
  ['a whole row, and not the likeliest tokens', 1, wholeRow(new Float32Array(1))],
  ['more tokens than were asked for', 1, topRow(Int32Array.of(0, 1))],
  ['a token that the model does not have', 1, topRow(Int32Array.of(1))],
])('a backend that sends %s counts as broken, so that another one is asked', async (_, topK, bytes) => {
  const played = backend({ topK });
  const session = await played.open();
  const row = session.row(0);
  played.say(bytes);
  await expect(row).rejects.toMatchObject({ code: 'backend_unavailable' });
  expect(played.isClosed()).toBe(true);
});

test('an edge that waits says every few seconds that it is here, until it closes', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] });
  const { open, heard } = backend();
  const session = await open();
  await vi.advanceTimersByTimeAsync(SILENT_EDGE_MS);
  const here = heard.slice(1);
  expect(here.length).toBeGreaterThanOrEqual(3);
  expect(here).toEqual(here.map(() => ({ type: 'here' })));
  session.close();
  await vi.advanceTimersByTimeAsync(SILENT_EDGE_MS);
  expect(heard).toHaveLength(1 + here.length);
});

test('a socket that opens when the client has just left is closed', async () => {
  const opens = Promise.withResolvers<void>();
  const played = backend({ opens: opens.promise });
  const session = played.open();
  await expect.poll(() => played.headers.length).toBe(1);
  played.leaves.abort();
  opens.resolve();
  await expect(session).rejects.toBeInstanceOf(PlimsollError);
  expect(played.isClosed()).toBe(true);
  expect(played.heard).toEqual([]);
});

test('a backend that says nothing counts as broken only while somebody waits for it', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
  const played = backend({ silenceMs: 30_000 });
  const session = await played.open();
  await vi.advanceTimersByTimeAsync(90_000);
  played.row(0, { logit: 1 });
  expect(logitOf(await session.row(0))).toBe(1);
  const next = session.row(1);
  const fails = expect(next).rejects.toMatchObject({ code: 'backend_unavailable' });
  await vi.advanceTimersByTimeAsync(40_000);
  await fails;
});

test('a backend of another model, or one that never begins, is none', async () => {
  await expect(backend({ starts: { ...START, model: 'other' } }).open()).rejects.toMatchObject({
    code: 'backend_unavailable',
  });
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
  const silent = backend({ starts: null, silenceMs: 30_000 });
  const fails = expect(silent.open()).rejects.toMatchObject({ code: 'backend_unavailable' });
  await vi.advanceTimersByTimeAsync(40_000);
  await fails;
  expect(silent.underWay()).toBe(0);
});
