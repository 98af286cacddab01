/**
 * Kept answers and the real Cache API of a running edge: isolates that are stores of their own, one
 * cache behind them, and a clock that the test moves.
 */
import { Response as MiniflareResponse } from 'miniflare';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { OPEN_LINE } from '#shared/line/line.ts';
import { type Receipt, signReceipt } from '#shared/protocol/receipt.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { type EdgeUnderTest, startEdgeUnderTest } from '../testing/edge-under-test.ts';
import { createKeptAnswers, KEEP_MS, type SharedCache } from './kept-answers.ts';

let under: EdgeUnderTest;
let openCache: () => Promise<SharedCache>;
let nowMs: number;
let key: string;
let count = 0;

beforeAll(async () => {
  under = await startEdgeUnderTest({ seed: false, sharedCache: true });
  const cache = await (await under.edge.miniflare.getCaches()).open('plimsoll-answers');
  openCache = async () => ({
    match: (url) => cache.match(url),
    // miniflare hands over only responses of its own class.
    async put(url, response) {
      const headers = Object.fromEntries(response.headers);
      await cache.put(url, new MiniflareResponse(await response.text(), { headers }));
    },
  });
});
afterAll(() => under.dispose());
beforeEach(() => {
  nowMs = 1_000_000;
  key = `${++count}`.padStart(64, '0');
});

const isolate = (shared: (() => Promise<SharedCache>) | null = openCache) =>
  createKeptAnswers({ openCache: shared, now: () => nowMs, lookMs: 60_000 });
const about = ({ maxAgeMs = Number.POSITIVE_INFINITY, ...changes }: { tenant?: string; maxAgeMs?: number } = {}) => ({
  asked: { tenant: 'acme', key: 'main', policy: 'p', classifier: 'c', bundle: 'b', probe: null, ...changes },
  jwks: under.receiptKey.jwks,
  maxAgeMs,
});

async function answerOf(text: string) {
  // Of a receipt, only these matter here.
  const receipt = {
    request: 'req_1',
    directive: 'd',
    tenant: 'acme',
    key: 'main',
    policy: 'p',
    classifier: 'c',
    model: 'm',
    bundle: 'b',
    experts: { safety: { kind: 'adapter' }, helpfulness: { kind: 'adapter' } },
    backend: 'backend-0',
    parts: [],
    draws: 'd',
    line: OPEN_LINE,
    second_look: null,
    top_k: null,
    weights: { min: 0, mean: 0, max: 0 },
    spent: null,
    ran: { safety: 1, helpfulness: 1 },
    usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
    finish_reason: 'stop',
    choice: 0,
    choices: 1,
    seed: 1,
    sampling: null,
    prompt_digest: 'p',
    answer_digest: await sha256Hex(text),
  } satisfies Receipt;
  const receiptToken = await signReceipt(receipt, under.receiptKey);
  return { key, keptAtMs: nowMs, systemFingerprint: 'fp_1', deltas: [{ text, tokens: [] }], receiptToken, receipt };
}

test('an answer that one isolate keeps is found by another, with its age', async () => {
  const [here, there] = [isolate(), isolate()];
  const answer = await answerOf('Hello');
  await here.put(answer);
  nowMs += 5_000;
  expect(await there.get(key, about())).toEqual({ answer, ageMs: 5_000 });
  expect(await there.get('f'.repeat(64), about())).toBeNull();
  expect(await isolate(null).get(key, about())).toBeNull();
});

test('ends after the stated time in every isolate, and before that for whoever wants a younger one', async () => {
  const [here, there] = [isolate(), isolate()];
  await here.put(await answerOf('Hello'));
  nowMs += KEEP_MS - 1;
  expect(await here.get(key, about())).not.toBeNull();
  expect(await there.get(key, about())).not.toBeNull();
  expect(await there.get(key, about({ maxAgeMs: 60_000 }))).toBeNull();
  nowMs += 1;
  expect(await here.get(key, about())).toBeNull();
  expect(await there.get(key, about())).toBeNull();
  expect(await isolate().get(key, about())).toBeNull();
});

test('what somebody else has put into the cache is not believed', async () => {
  await isolate().put(await answerOf('Hello'));
  expect(await isolate().get(key, about({ tenant: 'other' }))).toBeNull();
  const url = `https://answers.plimsoll.invalid/${key}`;
  const cache = await openCache();
  const forged = JSON.stringify({ ...(await answerOf('Hello')), deltas: [{ text: 'Harm', tokens: [] }] });
  await cache.put(url, new Response(forged, { headers: { 'cache-control': 'max-age=60' } }));
  expect(await isolate().get(key, about())).toBeNull();
});

test('an answer that is too long is not kept, and a cache that fails costs nothing but its use', async () => {
  await isolate().put(await answerOf('a'.repeat(300_000)));
  expect(await isolate().get(key, about())).toBeNull();
  const broken = isolate(() => Promise.reject(new Error('no cache')));
  const answer = await answerOf('Hello');
  await broken.put(answer);
  expect(await broken.get(key, about())).toEqual({ answer, ageMs: 0 });
});

test('an isolate forgets the oldest answers, and never holds more than its share', async () => {
  const alone = isolate(null);
  const keys: string[] = [];
  for (let i = 0; i < 50; i++) {
    key = `${i}`.padStart(64, 'a');
    keys.push(key);
    await alone.put(await answerOf('a'.repeat(250_000)));
  }
  const there = [];
  for (const each of keys) there.push((await alone.get(each, about())) !== null);
  expect(there.filter(Boolean).length).toBeLessThanOrEqual((8 * 1024 * 1024) / 250_000);
  expect(there.at(-1)).toBe(true);
  expect(there[0]).toBe(false);
});
