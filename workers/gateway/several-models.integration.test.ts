/** Several models behind one edge: who answers, what is listed, and what if one is down. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ErrorBody } from '#shared/api/errors.ts';
import type { Model, ModelList } from '#shared/api/models.ts';
import { verifyReceipt } from '#shared/protocol/receipt.ts';
import { type EdgeUnderTest, openaiClient, post, startEdgeUnderTest } from '../testing/edge-under-test.ts';
import type { ScriptedBackend } from '../testing/scripted-backend.ts';

const MODELS = ['toy', 'real', 'real'];
let under: EdgeUnderTest;
let toy: ScriptedBackend;
let real: ScriptedBackend[];
beforeEach(async () => {
  under = await startEdgeUnderTest({
    backendCount: 3,
    modelOf: (index) => MODELS[index] ?? '',
    modesOf: (index) => (index === 0 ? ['logits', 'layers'] : ['logits']),
    contextOf: (index) => [64, 32, 48][index] ?? 0,
  });
  // The cast is safe: there are three.
  [toy, ...real] = under.backends as [ScriptedBackend, ...ScriptedBackend[]];
});
afterEach(() => under.dispose());

const ask = (model: string, content = 'Hello', more: object = {}) =>
  post(under.edge, '/v1/chat/completions', { model, messages: [{ role: 'user', content }], ...more });

const refusal = async (answer: Response) => ({
  status: answer.status,
  retryAfter: answer.headers.get('retry-after'),
  ...((await answer.json()) as ErrorBody).error,
});

const list = async (): Promise<Model[]> => {
  const answer = await fetch(`${under.edge.url}/v1/models`, { headers: { authorization: 'Bearer pk-demo-open' } });
  return ((await answer.json()) as ModelList).data;
};

/** Asks until the answer is of this kind: the edge notices a change within seconds. */
async function untilAnswered(model: string, status: number): Promise<Response> {
  for (let tries = 0; ; tries++) {
    const answer = await ask(model, `Try ${tries}`);
    if (answer.status === status) return answer;
    expect(tries, await answer.text()).toBeLessThan(100);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

test('each request goes to a backend of its model, and the answer and its receipt name that model', async () => {
  for (const model of ['toy', 'real']) {
    for (let prompt = 0; prompt < 6; prompt++) {
      const answer = await ask(model, `Prompt ${prompt}`);
      const body = (await answer.json()) as { model: string; plimsoll: { receipt: string } };
      expect(body.model).toBe(model);
      expect(await verifyReceipt(body.plimsoll.receipt, under.receiptKey.jwks)).toMatchObject({ model });
    }
  }
  expect(toy.seen.map(({ request }) => request.model)).toEqual(Array(6).fill('toy'));
  expect(real.flatMap(({ seen }) => seen.map(({ request }) => request.model))).toEqual(Array(6).fill('real'));
});

test('all models are listed, with the context and the modes that a request can count on', async () => {
  const [first, second] = await list();
  expect(first).toMatchObject({ id: 'real', plimsoll: { context_length: 32, modes: ['logits'], available: true } });
  expect(second).toMatchObject({
    id: 'toy',
    plimsoll: { context_length: 64, modes: ['logits', 'layers'], available: true },
  });
  expect(await openaiClient(under.edge).models.retrieve('real')).toEqual(first);
});

test('a mode that only another model has is refused for this one', async () => {
  const layers = { plimsoll: { mode: 'layers' } };
  expect((await ask('toy', 'Hello', layers)).status).toBe(200);
  expect(await refusal(await ask('real', 'Hello', layers))).toMatchObject({ status: 400, param: 'plimsoll.mode' });
});

test('an unknown model is a 404 that names those that exist', async () => {
  const expected = {
    status: 404,
    code: 'model_not_found',
    param: 'model',
    message: "The model 'gpt' does not exist or you do not have access to it. There is 'real', 'toy'.",
  };
  expect(await refusal(await ask('gpt'))).toMatchObject(expected);
  const retrieved = await fetch(`${under.edge.url}/v1/models/gpt`, {
    headers: { authorization: 'Bearer pk-demo-open' },
  });
  expect(await refusal(retrieved)).toMatchObject(expected);
});

test('a model whose backends are all down is a 503, still listed, and the other model goes on', async () => {
  await ask('toy');
  await toy.close();
  for (let tries = 0; tries < 2; tries++) {
    expect(await refusal(await ask('toy'))).toMatchObject({
      status: 503,
      code: 'backend_unavailable',
      retryAfter: '1',
    });
    expect((await ask('real')).status).toBe(200);
  }
  const [, listed] = await list();
  expect(listed).toMatchObject({ id: 'toy', plimsoll: { available: false } });
  // Nobody else was asked for it.
  expect(real.flatMap(({ seen }) => seen).every(({ request }) => request.model === 'real')).toBe(true);
});

test('a backend that was never heard may serve any model, so an unknown model is not a 404 yet', async () => {
  toy.behaviour = 'hang';
  expect(await refusal(await ask('toy'))).toMatchObject({ status: 503, code: 'backend_unavailable' });
  expect((await ask('real')).status).toBe(200);
  toy.behaviour = 'answer';
  await untilAnswered('toy', 200);
});

test('a backend that comes back with another model is noticed by the first request that it turns away', async () => {
  expect((await ask('toy')).status).toBe(200);
  expect((await ask('real')).status).toBe(200);
  toy.model = 'new';
  // It turns the request away. Whether another backend has the model now is not known at once.
  expect(await refusal(await ask('toy'))).toMatchObject({ status: 503, code: 'backend_unavailable' });
  expect(await refusal(await ask('toy'))).toMatchObject({ status: 404, message: expect.stringContaining("'new'") });
  expect((await ask('new')).status).toBe(200);
});

test('if one of two backends changes its model, the other takes its requests', async () => {
  for (let prompt = 0; prompt < 4; prompt++) expect((await ask('real', `Prompt ${prompt}`)).status).toBe(200);
  const [first] = real;
  if (first) first.model = 'toy';
  for (let prompt = 0; prompt < 4; prompt++) expect((await ask('real', `Prompt ${prompt}`)).status).toBe(200);
});

test('the front page lists the models, and its command asks the last one that is well', async () => {
  const page = async () => (await fetch(under.edge.url, { headers: { accept: 'text/html' } })).text();
  expect(await page()).toContain('<code>real</code>: 32 tokens</li>');
  expect(await page()).toContain('<code>toy</code>: 64 tokens</li>');
  expect(await page()).toContain('&#34;model&#34;:&#34;real&#34;');
  expect(await (await fetch(under.edge.url)).json()).toMatchObject({ models: ['real', 'toy'] });
});
