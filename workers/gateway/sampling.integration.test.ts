/** How answers are drawn where a request does not say: as the model's bundle says. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { ModelList } from '#shared/api/models.ts';
import { PLAIN_SAMPLING, type Sampling } from '#shared/api/sampling.ts';
import { verifyReceipt } from '#shared/protocol/receipt.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { type EdgeUnderTest, post, startEdgeUnderTest } from '../testing/edge-under-test.ts';

const OWN: Sampling = { temperature: 0.2, top_p: 0.9, top_k: 40, min_p: 0.05, repetition_penalty: 1.1 };
const MODELS = ['plain', 'own', 'torn', 'torn'];
const SAMPLINGS = [PLAIN_SAMPLING, OWN, OWN, PLAIN_SAMPLING];

let under: EdgeUnderTest;
beforeAll(async () => {
  under = await startEdgeUnderTest({
    backendCount: MODELS.length,
    modelOf: (index) => MODELS[index]!,
    samplingOf: (index) => SAMPLINGS[index]!,
  });
});
afterAll(() => under.dispose());
beforeEach(() => {
  for (const { seen } of under.backends) seen.length = 0;
});

/** What a backend was asked, and what the receipt says. */
async function asked(model: string, more: object = {}) {
  const answer = await post(under.edge, '/v1/chat/completions', {
    model,
    messages: [{ role: 'user', content: 'Hello' }],
    seed: 1,
    ...more,
  });
  const body = (await answer.json()) as { plimsoll: { receipt: string } };
  expect(answer.status, JSON.stringify(body)).toBe(200);
  const receipt = await verifyReceipt(body.plimsoll.receipt, under.receiptKey.jwks);
  const { request } = under.backends.flatMap(({ seen }) => seen)[0]!;
  return { receipt, request };
}

test("the bundle's own defaults are asked for, and the receipt says so and covers them", async () => {
  const { receipt, request } = await asked('own');
  expect(request).toMatchObject(OWN);
  expect(receipt.sampling).toEqual(OWN);
  expect(receipt.prompt_digest).toBe(await sha256Hex(JSON.stringify(request)));
});

test('a plain model is asked as ever, without a word about what is neutral', async () => {
  const { receipt, request } = await asked('plain');
  expect(request).toMatchObject({ temperature: 1, top_p: 1 });
  for (const name of ['top_k', 'min_p', 'repetition_penalty']) expect(request).not.toHaveProperty(name);
  expect(receipt.sampling).toEqual(PLAIN_SAMPLING);
});

test('what a request names counts instead, one by one, even if it asks for nothing', async () => {
  expect((await asked('own', { temperature: 0 })).receipt.sampling).toEqual({ ...OWN, temperature: 0 });
  for (const { seen } of under.backends) seen.length = 0;
  const neutral = { temperature: 1, top_p: 1, top_k: -1, min_p: 0, repetition_penalty: 1 };
  const { receipt, request } = await asked('own', neutral);
  expect(receipt.sampling).toEqual(PLAIN_SAMPLING);
  expect(request).not.toHaveProperty('top_k');
});

test('the list of models shows the defaults, and null where the backends of a model differ', async () => {
  const headers = { authorization: 'Bearer pk-demo-open' };
  const listed = (await (await fetch(`${under.edge.url}/v1/models`, { headers })).json()) as ModelList;
  const shown = Object.fromEntries(listed.data.map(({ id, plimsoll }) => [id, plimsoll.sampling]));
  expect(shown).toEqual({ plain: PLAIN_SAMPLING, own: OWN, torn: null });
});
