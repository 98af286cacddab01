/**
 * The mode of an answer: who may ask for `layers`, which backend can do it, and what the client is
 * told.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { ErrorBody } from '#shared/api/errors.ts';
import type { AnswerExtension } from '#shared/api/plimsoll-extension.ts';
import { verifyReceipt } from '#shared/protocol/receipt.ts';
import { ask, type EdgeUnderTest, openaiClient, post, startEdgeUnderTest } from '../testing/edge-under-test.ts';

const layers = { mode: 'layers' };

/** The extension of the answer to `prompt`. */
async function answerTo(
  { edge }: EdgeUnderTest,
  { prompt = 'Hello', plimsoll = layers as object, key = 'pk-demo-balanced' },
): Promise<AnswerExtension> {
  const answer = await post(edge, '/v1/chat/completions', { ...ask(prompt), plimsoll }, key);
  const text = await answer.text();
  expect(answer.status, text).toBe(200);
  return (JSON.parse(text) as { plimsoll: AnswerExtension }).plimsoll;
}

const errorOf = async (answer: Response) => ({
  status: answer.status,
  ...((await answer.json()) as ErrorBody).error,
});

describe('with a backend that has a layers router and one that has none', () => {
  let under: EdgeUnderTest;
  beforeAll(async () => {
    under = await startEdgeUnderTest({
      backendCount: 2,
      modesOf: (index) => (index === 0 ? ['logits', 'layers'] : ['logits']),
    });
  });
  afterAll(() => under.dispose());
  beforeEach(() => {
    for (const { seen } of under.backends) seen.length = 0;
  });

  test('layers goes from the request into the directive, the receipt and the answer', async () => {
    const told = await answerTo(under, {});
    expect(told).toMatchObject({ mode: 'layers', floor: 0.3, budget: 20, backend: 'backend-0' });
    expect(under.backends[0]?.seen.at(-1)?.directive.line).toMatchObject({ mode: 'layers', floor: 0.3, budget: 20 });
    expect((await verifyReceipt(told.receipt, under.receiptKey.jwks)).line.mode).toBe('layers');
  });

  test('a request that names no mode gets logits', async () => {
    for (const plimsoll of [{}, { mode: null }, { mode: 'logits' }]) {
      expect(await answerTo(under, { plimsoll })).toMatchObject({ mode: 'logits' });
    }
  });

  test('only the backend with the router gets requests for layers, and both get requests for logits', async () => {
    const backends = async (plimsoll: object) => {
      const names = new Set<string>();
      // A hash of prompt and address decides, and the ports are new each time. Of 32 prompts, both
      // backends win some.
      for (let i = 0; i < 32; i++) names.add((await answerTo(under, { prompt: `Prompt ${i}`, plimsoll })).backend);
      return [...names].sort();
    };
    expect(await backends({ mode: 'layers' })).toEqual(['backend-0']);
    expect(await backends({ mode: 'logits' })).toEqual(['backend-0', 'backend-1']);
  });

  test('a decision remembered for one mode is not used for the other', async () => {
    const prompt = 'Remember me';
    const seen = async (mode: string) => {
      const { mode: used, cache } = await answerTo(under, { prompt, plimsoll: { mode } });
      return [used, cache.route];
    };
    expect(await seen('logits')).toEqual(['logits', 'miss']);
    expect(await seen('layers')).toEqual(['layers', 'miss']);
    expect(await seen('logits')).toEqual(['logits', 'hit']);
    expect(await seen('layers')).toEqual(['layers', 'hit']);
  });

  test('layers is not used if the line leaves only the safety expert', async () => {
    const told = await answerTo(under, { prompt: '[[child_abuse=0.99]]', key: 'pk-demo-open' });
    expect(told).toMatchObject({ mode: 'logits', floor: 1, weights: { min: 1, mean: 1, max: 1 } });
  });

  test('a policy that does not allow layers gives a 403 that names the field, and nothing reaches a backend', async () => {
    for (const stream of [false, true]) {
      const body = { ...ask('Hello'), stream, plimsoll: layers };
      expect(await errorOf(await post(under.edge, '/v1/chat/completions', body, 'pk-demo-strict'))).toEqual({
        status: 403,
        code: 'permission_denied',
        type: 'permission_error',
        param: 'plimsoll.mode',
        message: expect.stringMatching(/'plimsoll.mode' "layers" is not allowed by the tenant's policy/),
      });
    }
    expect(under.backends.flatMap(({ seen }) => seen)).toEqual([]);
    expect(await answerTo(under, { plimsoll: {}, key: 'pk-demo-strict' })).toMatchObject({ mode: 'logits' });
  });

  test('the list of models says what the pool offers', async () => {
    const [model] = (await openaiClient(under.edge).models.list()).data;
    expect(model).toMatchObject({ plimsoll: { modes: ['logits', 'layers'] } });
  });
});

describe('with no backend that has a layers router', () => {
  let under: EdgeUnderTest;
  beforeAll(async () => {
    under = await startEdgeUnderTest({ modesOf: () => ['logits'] });
  });
  afterAll(() => under.dispose());

  test('a request for layers is a 400 that names the field and the router, before any work', async () => {
    const answer = await post(under.edge, '/v1/chat/completions', { ...ask('Hello'), plimsoll: layers });
    expect(await errorOf(answer)).toEqual({
      status: 400,
      code: 'unsupported_value',
      type: 'invalid_request_error',
      param: 'plimsoll.mode',
      message: expect.stringContaining('"layers": its bundle has no layers router'),
    });
    expect(under.backends[0]?.seen).toEqual([]);
    expect((await openaiClient(under.edge).models.list()).data[0]).toMatchObject({ plimsoll: { modes: ['logits'] } });
  });
});
