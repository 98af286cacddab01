/**
 * Plain prompts that come as token ids: what is known before a backend reads them, and whose ids
 * they are.
 */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { ErrorBody } from '#shared/api/errors.ts';
import { adminClient } from '../control/admin-client.ts';
import { sha256 } from '../local/seed-demo-tenants.ts';
import { type EdgeUnderTest, OPERATOR_KEY, post, startEdgeUnderTest, testKey } from '../testing/edge-under-test.ts';

let under: EdgeUnderTest;
beforeAll(async () => {
  under = await startEdgeUnderTest({ backendCount: 2, limits: { poor: { tokens_per_day: 30 } } });
  under.backends[1]!.bundle = 'b2';
  const answer = await adminClient(under.edge.url, OPERATOR_KEY).tenants[':id'].$put({
    param: { id: 'chats' },
    json: {
      name: 'chats',
      policy: { floor: 0, budget: null, shaping: { plain_prompts: false } },
      keys: [{ id: 'main', sha256: sha256(testKey('chats')) }],
    },
  });
  expect(answer.ok).toBe(true);
});
afterAll(() => under.dispose());
beforeEach(() => {
  for (const backend of under.backends) backend.seen.length = 0;
});

const decoded = () => under.backends.reduce((sum, backend) => sum + backend.decoded, 0);
const ids = [...Buffer.from('Hi there')];
const send = (prompt: number[], key?: string) =>
  post(under.edge, '/v1/completions', { model: 'scripted', prompt, max_tokens: 16, seed: 7 }, key);
async function codeOf(answer: Response) {
  const { error } = (await answer.json()) as ErrorBody;
  return [answer.status, error.code, error.param];
}

test('a policy that forbids plain prompts is asked before any backend', async () => {
  const before = decoded();
  expect(await codeOf(await send(ids, testKey('chats')))).toEqual([400, 'unsupported_value', 'prompt']);
  expect(decoded()).toBe(before);
});

test('what a request can cost is reserved before its ids are read', async () => {
  const first = await send(ids, testKey('poor'));
  expect([first.status, await first.json()]).toMatchObject([200, { object: 'text_completion' }]);
  const before = decoded();
  expect((await codeOf(await send(ids, testKey('poor')))).slice(0, 2)).toEqual([429, 'insufficient_quota']);
  expect(decoded()).toBe(before);
});

test('only backends of the bundle whose tokenizer read the ids answer them', async () => {
  for (let prompt = 0; prompt < 12; prompt++) {
    const answer = await send([...ids, 48 + prompt]);
    expect([answer.status, await answer.json()]).toMatchObject([200, { object: 'text_completion' }]);
  }
  const [first, second] = under.backends;
  expect([first!.seen.length, second!.seen.length]).toEqual([12, 0]);
});
