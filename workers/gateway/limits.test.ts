/** Which routes run under the meter, and what a request can cost at most. */
import { describe, expect, test } from 'vitest';
import operatorPolicy from '#policies/presets/operator.json' with { type: 'json' };
import { Policy, PolicyPart } from '#policies/schema.ts';
import { parseChatRequest } from '#shared/api/chat-request.ts';
import { createApp } from '../app.ts';
import { NO_LIMITS } from '../objects/tenant-account-contract.ts';
import { scriptedClassifier } from '../testing/worker/scripted-classifier.ts';
import { costOf } from './limits-cost.ts';
import { durationText } from './limits-errors.ts';
import { limitsOfPolicy } from './limits-of-policy.ts';
import { unheard } from './pool-member.ts';

/**
 * What each route costs. A new route has to be added here. If a backend draws tokens for it, it
 * runs under the meter.
 */
const COSTS: Record<string, 'tokens' | 'nothing'> = {
  'GET /': 'nothing',
  'POST /v1/chat/completions': 'tokens',
  'POST /v1/completions': 'tokens',
  'POST /v1/responses': 'tokens',
  'GET /v1/responses/:id': 'nothing',
  'DELETE /v1/responses/:id': 'nothing',
  'GET /v1/responses/:id/input_items': 'nothing',
  'GET /v1/models': 'nothing',
  'GET /v1/models/:id{.+}': 'nothing',
  // The classifier runs at the edge.
  'POST /v1/moderations': 'nothing',
  // They cost no tokens, but a backend works for them, so they count as requests.
  'POST /tokenize': 'tokens',
  'POST /detokenize': 'tokens',
  'GET /.well-known/jwks.json': 'nothing',
  'GET /healthz': 'nothing',
  'GET /health': 'nothing',
  'GET /version': 'nothing',
  'GET /livez': 'nothing',
  'GET /readyz': 'nothing',
  'POST /pool/v1/heartbeat': 'nothing',
  'GET /openapi.json': 'nothing',
  'POST /console/session': 'nothing',
  'GET /console/session': 'nothing',
  'PUT /console/session': 'nothing',
  'DELETE /console/session': 'nothing',
  'GET /console/*': 'nothing',
};
/** Those of the admin API that do. */
const TRIALS = [
  'POST /admin/v1/tenants/:id/policies/:version/try',
  'POST /admin/v1/tenants/:id/policies/:version/explain',
  'POST /admin/v1/tenants/:id/score',
];

test('every route that costs tokens runs under the meter, and no other', () => {
  const app = createApp({ classifier: scriptedClassifier, operatorPolicy: PolicyPart.parse(operatorPolicy) });
  const handlers = new Map<string, string[]>();
  for (const { method, path, handler } of app.routes) {
    // Routes of the method `ALL` are middleware and refusals.
    if (method === 'ALL') continue;
    const route = `${method} ${path}`;
    handlers.set(route, [...(handlers.get(route) ?? []), handler.name]);
  }
  const found = [...handlers].map(([route, names]) => [route, names.includes('meterAfter') ? 'tokens' : 'nothing']);
  const isAdmin = (route: string) => route.includes(' /admin/');
  expect(Object.fromEntries(found.filter(([route]) => !isAdmin(route!)))).toEqual(COSTS);
  expect(found.filter(([route, cost]) => isAdmin(route!) && cost === 'tokens').map(([route]) => route)).toEqual(TRIALS);
});

describe('the most that a request can cost', () => {
  const member = (contextLength: number, model = 'm') => ({
    ...unheard('http://b'),
    ...{ model, contextLength, modes: ['logits' as const] },
  });
  const cost = (body: object, { members = [member(1000)], policy = null as number | null } = {}) =>
    costOf(parseChatRequest({ model: 'm', messages: [{ role: 'user', content: 'Hi' }], ...body }), {
      members,
      maxTokensOfPolicy: policy,
    });
  const PROMPT = 2 + 64 + 16;

  test.each([
    ['is the bytes of the prompt, what a template adds, and max_tokens', { max_tokens: 10 }, {}, PROMPT + 10],
    ['counts bytes, not characters', { max_tokens: 10, messages: [{ role: 'user', content: '⚓' }] }, {}, PROMPT + 11],
    ['takes the smaller of both names', { max_tokens: 10, max_completion_tokens: 7 }, {}, PROMPT + 7],
    ["is bounded by the policy's max_tokens", { max_tokens: 10 }, { policy: 5 }, PROMPT + 5],
    ['is the whole context if nothing bounds the answer', {}, {}, 1000],
    [
      'is the context of the largest backend of the model',
      {},
      { members: [member(50), member(70), member(9e9, 'x')] },
      70,
    ],
    ['is nothing if nobody serves the model', {}, { members: [] }, 0],
  ])('%s', async (_name, body, options, total) => {
    expect((await cost(body, options)).total).toBe(total);
  });

  test('is booked under the name of a model only if one has it', async () => {
    expect((await cost({})).model).toBe('m');
    expect((await cost({}, { members: [] })).model).toBe('unknown');
  });

  test('one prompt has one digest, however it is written or drawn', async () => {
    const digest = async (content: string, body: object = {}) =>
      (await cost({ messages: [{ role: 'user', content }], ...body })).digest;
    const first = await digest('How are you?');
    expect(await digest(' how\n ARE  you? ', { seed: 5, temperature: 2, max_tokens: 3 })).toBe(first);
    expect(await digest('Ho\u200bw are\u00ad you?\u2060')).toBe(first);
    expect(await digest('How are you')).not.toBe(first);
  });
});

test('the limits of a policy are those of the account, and what it leaves out is no limit', () => {
  const policy = Policy.parse({ floor: 0, budget: null, limits: { max_tokens: 5, tokens_per_day: 7 } });
  expect(limitsOfPolicy(policy)).toEqual({ ...NO_LIMITS, tokens_per_day: 7 });
});

test.each([
  [0, '0ms'],
  [120, '120ms'],
  [7_660, '7.66s'],
  [60_000, '1m0s'],
  [359_001, '6m0s'],
  [9_000_000, '2h30m0s'],
])('%i ms is %s, as OpenAI writes it', (ms, text) => {
  expect(durationText(ms)).toBe(text);
});
