/** Answers that the edge mixes, over backends that a test plays: who is asked and who is let go. */
import { decodeJwt } from 'jose';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { PlimsollError } from '#shared/api/errors.ts';
import { OPEN_LINE } from '#shared/line/line.ts';
import { directiveKey } from '#shared/protocol/directive.ts';
import { EXPERT_HEADER, type Role } from '#shared/protocol/expert-directive.ts';
import { type ExpertStart, encodeRow, packVocabulary, type Said } from '#shared/protocol/expert-messages.ts';
import { GenerateRequest } from '#shared/protocol/generate.ts';
import type { Receipt } from '#shared/protocol/receipt.ts';
import { createTracing } from '#shared/trace/tracing.ts';
import { DEFAULT_TIMEOUTS } from './attempt.ts';
import { createBackendPool, type PoolMember } from './backend-pool.ts';
import { beginMixed } from './begin-mixed.ts';
import type { OpenSocket } from './expert-socket.ts';
import { unheard } from './pool-member.ts';
import type { RetryBudget } from './retry-budget.ts';

// On a busy machine, a backend that is well may take longer than the limits that are tested here.
beforeEach(() => fakeTimers());
afterEach(() => vi.useRealTimers());

const SIZE = 8;
const MOST = 6;
const vocabulary = {
  eos: [0],
  banned: [],
  bytesOf: (id: number) => (id === 0 ? undefined : Uint8Array.of(96 + id)),
};
const untraced = createTracing({
  service: 'test',
  otlp: { endpoint: null, headers: {}, ratio: 1 },
  fetch: () => Promise.reject(new Error('nothing is sent')),
  onFailure: () => undefined,
});

/** Timers are false in some tests, and signatures take a moment nevertheless. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}
const fakeTimers = () =>
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] });

type Played = {
  /** What its start says otherwise than the others'. */
  start?: Partial<ExpertStart>;
  /** It lets the request wait, and never begins. */
  waits?: boolean;
  /** It refuses the directive, once another backend is open. */
  refuses?: PlimsollError;
  /** From this position on, its rows are of another vocabulary. */
  otherFrom?: number;
  /** It breaks off instead of the row at this position. */
  breaksAt?: number;
};

/** Backends by name. The first letter says which expert they have: `s1`, `h1`. */
function played(backends: Record<string, Played>) {
  const asked: string[] = [];
  const open: string[] = [];
  /** What was told to each backend, in JSON. */
  const told: Record<string, unknown[]> = {};
  const openSocket: OpenSocket = async (url, headers) => {
    const name = new URL(url).hostname;
    const { start, waits = false, refuses, otherFrom = Infinity, breaksAt = Infinity } = backends[name]!;
    asked.push(name);
    if (refuses !== undefined) {
      await until(() => open.length > 0);
      throw refuses;
    }
    open.push(name);
    const { expert } = decodeJwt<{ expert: Role }>(headers[EXPERT_HEADER]!);
    const listeners: Record<string, (event: { data: unknown }) => void> = {};
    const say = (said: Said | ArrayBuffer) =>
      listeners.message?.({ data: said instanceof ArrayBuffer ? said : JSON.stringify(said) });
    const row = (position: number, epoch: number) => {
      if (position >= breaksAt) {
        listeners.close?.({ data: null });
        return;
      }
      const size = position >= otherFrom ? SIZE + 1 : SIZE;
      const logits = Float32Array.from({ length: size }, (_, i) => Math.sin((i + 1) * (position + 1)));
      say(encodeRow({ epoch, position, draft: null, half: new Float64Array(), logits }).buffer);
    };
    return {
      send: (text) => {
        const message = JSON.parse(text) as { type: string; ids: number[]; at: number; epoch: number };
        told[name] = [...(told[name] ?? []), message];
        if (message.type === 'take') row(message.at + 1, message.epoch);
        if (message.type !== 'open') return;
        if (waits) {
          setInterval(() => say({ type: 'waiting' }), 2_000);
          return;
        }
        say({
          type: 'start',
          backend: name,
          model: 'm',
          bundle: 'x',
          vocab_size: SIZE,
          experts: { safety: { kind: 'adapter' }, helpfulness: { kind: 'base' } },
          prompt_tokens: 3,
          most_tokens: MOST,
          proposal: 0.4,
          ...(expert === 'safety' && { draws: 'd', key: [1, 2, 3, 4], vocabulary: packVocabulary(vocabulary, SIZE) }),
          ...start,
        });
        row(message.ids.length, 0);
      },
      close: () => {
        if (open.includes(name)) open.splice(open.indexOf(name), 1);
      },
      addEventListener: (type: string, listener: (event: { data: unknown }) => void) => {
        listeners[type] = listener;
      },
    };
  };
  const members: PoolMember[] = Object.keys(backends).map((name) => ({
    ...unheard(`http://${name}`),
    alive: true,
    model: 'm',
    contextLength: 64,
    bundle: 'x',
    modes: ['edge'],
    serves: [name.startsWith('s') ? 'safety' : 'helpfulness'],
  }));
  const pool = createBackendPool({ fetch: () => Promise.reject(new Error('nobody asks')) });
  const client = new AbortController();
  const receipts: Receipt[] = [];
  const body = GenerateRequest.parse({
    model: 'm',
    messages: [{ role: 'user', content: 'hi' }],
    max_tokens: MOST,
    stop: [],
    seed: 1,
    temperature: 1,
    top_p: 1,
    ignore_eos: true,
  });
  const begin = (changes: { body?: string } = {}) =>
    beginMixed({
      requestId: 'req_1',
      trace: untraced.begin('test', { header: () => undefined }),
      body: JSON.stringify(body),
      model: 'm',
      messages: [{ role: 'user', content: 'hi' }],
      directive: {
        request: 'req_1',
        tenant: 'acme',
        key: 'main',
        policy: 'p',
        classifier: 'c',
        digest: '0'.repeat(64),
        line: { ...OPEN_LINE, mode: 'edge' },
        second_look: null,
        resume: null,
      },
      directiveKey: directiveKey('s'.repeat(32)),
      mixing: { topK: null, ahead: 0 },
      signal: client.signal,
      timeouts: { ...DEFAULT_TIMEOUTS, resumeMs: 0 },
      pool,
      from: null,
      members: async () => members,
      openSocket,
      onWaiting: () => undefined,
      onEnd: (receipt) => receipts.push(receipt),
      sign: async () => 'signed',
      ...changes,
    });
  /** The whole answer's receipt. */
  const answer = async () => {
    const { events } = await begin();
    for (let next = await events.next(); !next.done; next = await events.next());
    return receipts[0]!;
  };
  const names = ({ mixed }: Receipt) => ({
    safety: mixed!.safety.map(({ backend, from, to }) => [backend, from, to]),
    helpfulness: mixed!.helpfulness.map(({ backend, from, to }) => [backend, from, to]),
  });
  const isOut = (name: string) => !pool.admit(`http://${name}`);
  return { begin, answer, names, asked, open, told, client, isOut, pool };
}

test('both experts are asked, and let go at the end', async () => {
  const { answer, names, open } = played({ s1: {}, h1: {} });
  expect(names(await answer())).toEqual({ safety: [['s1', 0, MOST]], helpfulness: [['h1', 0, MOST]] });
  expect(open).toEqual([]);
});

describe('a helpfulness pool that keeps an answer waiting', () => {
  test('in its queue, is left after ten seconds, and the safety expert answers alone', async () => {
    const { answer, names, told, open, isOut } = played({ s1: {}, h1: { waits: true } });
    const receipt = answer();
    await until(() => told.s1 !== undefined && told.h1 !== undefined);
    await vi.advanceTimersByTimeAsync(11_000);
    expect(names(await receipt)).toEqual({ safety: [['s1', 0, MOST]], helpfulness: [] });
    expect(open).toEqual([]);
    // It is crowded, and not broken.
    expect(isOut('h1')).toBe(false);
  });

  test('in the queue of the next backend, is left too', async () => {
    const order = played({ s1: {}, h1: {}, h2: {} });
    await order.answer();
    const [first, second] = order.asked.includes('h1') ? ['h1', 'h2'] : ['h2', 'h1'];
    const { answer, names, told, open } = played({ s1: {}, [first!]: { breaksAt: 2 }, [second!]: { waits: true } });
    const receipt = answer();
    await until(() => told[second!] !== undefined);
    await vi.advanceTimersByTimeAsync(11_000);
    expect(names(await receipt).helpfulness).toEqual([[first, 0, 2]]);
    expect(open).toEqual([]);
  });
});

describe('nothing stays open', () => {
  test('if the answer cannot begin after both experts have', async () => {
    const { begin, asked, open } = played({ s1: {}, h1: {} });
    await expect(begin({ body: '{}' })).rejects.toThrow();
    expect(asked.toSorted()).toEqual(['h1', 's1']);
    await expect.poll(() => open).toEqual([]);
  });

  test('if the safety expert cannot be asked', async () => {
    const refuses = new PlimsollError('invalid_request', 'no');
    const { begin, asked, open, isOut } = played({ s1: { refuses }, h1: {} });
    await expect(begin()).rejects.toMatchObject({ code: 'invalid_request' });
    expect(asked.toSorted()).toEqual(['h1', 's1']);
    await expect.poll(() => open).toEqual([]);
    expect(isOut('h1')).toBe(false);
  });
});

describe('a backend that does not fit the answer is passed over', () => {
  test.each<[string, Played]>([
    ['other weights', { start: { bundle: 'y' } }],
    ['another draw key', { start: { key: [4, 3, 2, 1] } }],
    ['no draw key', { start: { key: undefined } }],
    ['another vocabulary', { start: { vocab_size: SIZE + 1 } }],
    ['rows of another vocabulary', { otherFrom: 0 }],
    ['another prompt', { start: { prompt_tokens: 4 } }],
    ['other secrets', { refuses: new PlimsollError('internal_error', 'the directive is not valid') }],
  ])('when it is to go on with the safety expert, and has %s', async (_, unfit) => {
    for (const [first, second, last] of await orders('s')) {
      const { answer, names } = played({ h1: {}, [first]: { breaksAt: 2 }, [second]: unfit, [last]: {} });
      expect(names(await answer())).toEqual({
        safety: [
          [first, 0, 2],
          [last, 2, MOST],
        ],
        helpfulness: [['h1', 0, MOST]],
      });
    }
  });

  test.each<[string, Played]>([
    ['other weights', { start: { bundle: 'y' } }],
    ['another vocabulary', { start: { vocab_size: SIZE + 1 } }],
    ['rows of another vocabulary', { otherFrom: 0 }],
    ['another prompt', { start: { prompt_tokens: 4 } }],
    ['other secrets', { refuses: new PlimsollError('internal_error', 'the directive is not valid') }],
  ])('as the helpfulness expert, at the beginning and later, if it has %s', async (_, unfit) => {
    for (const [first, second, last] of await orders('h')) {
      const begins = played({ s1: {}, [first]: unfit, [second]: {} });
      expect(begins.names(await begins.answer()).helpfulness).toEqual([[second, 0, MOST]]);
      const goesOn = played({ s1: {}, [first]: { breaksAt: 2 }, [second]: unfit, [last]: {} });
      expect(goesOn.names(await goesOn.answer()).helpfulness).toEqual([
        [first, 0, 2],
        [last, 2, MOST],
      ]);
      // Only if none of them fits, the safety expert goes on alone.
      const alone = played({ s1: {}, [first]: { breaksAt: 2 }, [second]: unfit, [last]: unfit });
      const receipt = await alone.answer();
      expect(alone.names(receipt).helpfulness).toEqual([[first, 0, 2]]);
      expect(receipt.ran).toEqual({ safety: MOST, helpfulness: 2 });
      expect(alone.open).toEqual([]);
    }
  });
});

/** Three backends of an expert: the one that is asked first, and the other two in either order. */
async function orders(expert: 's' | 'h'): Promise<[string, string, string][]> {
  const names = [1, 2, 3].map((number) => `${expert}${number}`);
  const { answer, asked } = played({ s1: {}, h1: {}, ...Object.fromEntries(names.map((name) => [name, {}])) });
  await answer();
  // Affinity decides who is asked first.
  const first = asked.find((name) => name.startsWith(expert))!;
  const [second, last] = names.filter((name) => name !== first) as [string, string];
  return [
    [first, second, last],
    [first, last, second],
  ];
}

describe('once the retries of a tenant are used up', () => {
  const unfit: Played = { start: { bundle: 'y' } };
  const useUp = (retries: RetryBudget) => {
    while (retries.spend(() => true));
  };

  test('no second backend is asked for the safety expert', async () => {
    const [first, second] = (await orders('s'))[0]!;
    const { begin, asked, pool } = played({ h1: {}, [first]: { start: { key: undefined } }, [second]: {} });
    useUp(pool.retries.of('acme'));
    await expect(begin()).rejects.toMatchObject({ code: 'backend_unavailable' });
    expect(asked).not.toContain(second);
  });

  test('nor for the helpfulness expert, so the safety expert answers alone', async () => {
    const [first, second] = (await orders('h'))[0]!;
    const { answer, asked, names, pool } = played({ s1: {}, [first]: unfit, [second]: {} });
    useUp(pool.retries.of('acme'));
    expect(names(await answer())).toEqual({ safety: [['s1', 0, MOST]], helpfulness: [] });
    expect(asked.toSorted()).toEqual([first, 's1']);
  });

  test('others have theirs, and each expert that is asked is a request that earns some', async () => {
    const [first, second] = (await orders('h'))[0]!;
    const { answer, asked, pool } = played({ s1: {}, [first]: unfit, [second]: {} });
    const asksSecond = async () => {
      asked.length = 0;
      await answer();
      return asked.includes(second);
    };
    useUp(pool.retries.of('another'));
    expect(await asksSecond()).toBe(true);
    useUp(pool.retries.of('acme'));
    const later = [await asksSecond(), await asksSecond(), await asksSecond(), await asksSecond()];
    // Four, six, eight and ten requests: every fifth earns one.
    expect(later).toEqual([false, true, false, true]);
  });
});

describe('a client that leaves', () => {
  test('takes no backend out for others, and leaves nothing open', async () => {
    const { begin, client, open, asked, isOut } = played({ s1: {}, s2: {}, h1: {}, h2: {} });
    const { events } = await begin();
    await events.next();
    client.abort();
    const rest = async () => {
      while ((await events.next()).done !== true);
    };
    await expect(rest()).rejects.toThrow();
    expect(asked).toHaveLength(2);
    expect(open).toEqual([]);
    expect(['s1', 's2', 'h1', 'h2'].filter(isOut)).toEqual([]);
  });

  test('while its answer waits in a queue, does neither', async () => {
    const { begin, client, told, open, isOut } = played({ s1: { waits: true }, h1: { waits: true } });
    const begins = expect(begin()).rejects.toThrow();
    await until(() => told.s1 !== undefined && told.h1 !== undefined);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(open.toSorted()).toEqual(['h1', 's1']);
    client.abort();
    await begins;
    expect(open).toEqual([]);
    expect(['s1', 'h1'].filter(isOut)).toEqual([]);
  });
});
