/**
 * The second look from the edge's side: which backends are asked for it, what a client is told, and
 * that a backend is believed only as far as its numbers go.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import strictPolicy from '#policies/demo/strict.json' with { type: 'json' };
import operatorPolicy from '#policies/presets/operator.json' with { type: 'json' };
import type { ChatCompletion } from '#shared/api/chat-answer.ts';
import type { AnswerExtension } from '#shared/api/plimsoll-extension.ts';
import { verifyReceipt } from '#shared/protocol/receipt.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import type { Behaviour } from '../testing/behaviours.ts';
import { ask, type EdgeUnderTest, openaiClient, post, startEdgeUnderTest } from '../testing/edge-under-test.ts';
import { PROBE_VERSION, type ScriptedBackend } from '../testing/scripted-backend.ts';

const STRICT = 'pk-demo-strict';
const REFUSAL = "This request was refused by the tenant's policy (category 'child_abuse').";

describe('with a backend that has a probe', () => {
  let under: EdgeUnderTest;
  let backend: ScriptedBackend;
  beforeAll(async () => {
    under = await startEdgeUnderTest({ probeOf: () => ({}) });
    backend = under.backends[0]!;
  });
  afterAll(() => under.dispose());
  beforeEach(() => {
    backend.behaviour = 'answer';
    backend.probe = {};
    backend.seen.length = 0;
  });

  async function answer(key = STRICT, plimsoll: object = {}): Promise<ChatCompletion & { plimsoll: AnswerExtension }> {
    const sent = await post(under.edge, '/v1/chat/completions', { ...ask('Hello'), plimsoll }, key);
    const text = await sent.text();
    expect(sent.status, text).toBe(200);
    // The test reads what the schema promises.
    return JSON.parse(text) as ChatCompletion & { plimsoll: AnswerExtension };
  }

  test('the directive has the rules of the effective policy, and the floor from which they rise', async () => {
    await answer();
    const { second_look: look } = backend.seen.at(-1)!.directive;
    expect(look).toMatchObject({ base: strictPolicy.floor });
    expect(look!.rules.child_abuse!.action).toBe('refuse');
    expect(look!.rules.any_harm).toMatchObject({ floor: 0.95, budget: 1 });
    await answer('pk-demo-balanced', { floor: 0.4 });
    expect(backend.seen.at(-1)!.directive.second_look!.base).toBe(0.4);
    await answer('pk-demo-open');
    expect(Object.keys(backend.seen.at(-1)!.directive.second_look!.rules)).toEqual(
      expect.arrayContaining(Object.keys(operatorPolicy.categories)),
    );
  });

  test('the answer has what both looks have found, and the line that was held', async () => {
    const calm = (await answer()).plimsoll;
    expect(calm).toMatchObject({
      floor: 0.9,
      budget: 2,
      second_look: { version: PROBE_VERSION, tightened: false, because: null },
    });
    backend.probe = { any_harm: 0.99 };
    const { plimsoll } = await answer();
    expect(plimsoll).toMatchObject({ floor: 0.95, budget: 1, second_look: { tightened: true, because: 'any_harm' } });
    expect(plimsoll.categories).toContainEqual({ name: 'any_harm', probability: 0.01 });
    expect(plimsoll.second_look!.categories).toContainEqual({ name: 'any_harm', probability: 0.99 });
    expect(plimsoll.weights.min).toBeGreaterThanOrEqual(0.95);
    const receipt = await verifyReceipt(plimsoll.receipt, under.receiptKey.jwks);
    expect(receipt.line).toMatchObject({ floor: 0.95, budget: 1 });
    expect(receipt.second_look).toEqual(plimsoll.second_look);
  });

  test('a refusal comes as content_filter, with the words of a refusal by the edge', async () => {
    backend.probe = { child_abuse: 0.99 };
    const { choices, usage, plimsoll } = await answer();
    expect(choices[0]).toMatchObject({ finish_reason: 'content_filter', message: { content: REFUSAL } });
    expect(usage.completion_tokens).toBe(0);
    expect(plimsoll.second_look).toMatchObject({ tightened: true, because: 'child_abuse' });
    const receipt = await verifyReceipt(plimsoll.receipt, under.receiptKey.jwks);
    expect(receipt.finish_reason).toBe('content_filter');
    expect(receipt.answer_digest).toBe(await sha256Hex(''));
  });

  test('and so it does in a stream, as OpenAI’s client reads it', async () => {
    backend.probe = { child_abuse: 0.99 };
    const stream = await openaiClient(under.edge, STRICT).chat.completions.create({ ...ask('Hello'), stream: true });
    let text = '';
    const reasons: unknown[] = [];
    for await (const { choices } of stream) {
      text += choices[0]?.delta.content ?? '';
      if (choices[0]?.finish_reason) reasons.push(choices[0].finish_reason);
    }
    expect(text).toBe(REFUSAL);
    expect(reasons).toEqual(['content_filter']);
  });

  test.each<Behaviour>(['hide-the-look', 'stay-loose-after-the-look', 'refuse-on-its-own'])(
    'a backend that would %s is not believed',
    async (behaviour) => {
      backend.behaviour = behaviour;
      backend.probe = { any_harm: 0.99 };
      const sent = await post(under.edge, '/v1/chat/completions', ask('Hello'), STRICT);
      expect(await sent.json()).toMatchObject({ error: { code: 'receipt_invalid' } });
    },
  );
});

test('where one backend has a probe, no text of a client’s leads to one that has none', async () => {
  const under = await startEdgeUnderTest({ backendCount: 2, probeOf: (index) => (index === 0 ? {} : null) });
  for (let i = 0; i < 8; i++) {
    const messages = [
      { role: 'system', content: `Prompt ${i}.` },
      { role: 'user', content: 'Hello' },
    ];
    const sent = await post(under.edge, '/v1/chat/completions', { ...ask('Hello'), messages }, STRICT);
    expect(await sent.json()).toMatchObject({ plimsoll: { second_look: { version: PROBE_VERSION } } });
  }
  expect(under.backends[1]!.seen).toEqual([]);
  await under.dispose();
});

test('a backend without a probe gets no rules, and the answer says that only the edge has looked', async () => {
  const under = await startEdgeUnderTest();
  const sent = await post(under.edge, '/v1/chat/completions', ask('Hello'), STRICT);
  expect(await sent.json()).toMatchObject({ plimsoll: { second_look: null, floor: 0.9 } });
  expect(under.backends[0]!.seen.at(-1)!.directive.second_look).toBeNull();
  await under.dispose();
});
