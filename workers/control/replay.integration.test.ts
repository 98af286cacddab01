/** A replay beside a helpfulness pool. In workerd. */
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ChatCompletion } from '#shared/api/chat-answer.ts';
import { directiveKey } from '#shared/protocol/directive.ts';
import { HEARTBEAT_PATH, heartbeatKey, signHeartbeat } from '#shared/protocol/heartbeat.ts';
import { helpfulnessKey } from '#shared/protocol/pool-secret.ts';
import { type Receipt, signReceipt } from '#shared/protocol/receipt.ts';
import {
  ask,
  DIRECTIVE_SECRET,
  type EdgeUnderTest,
  OPERATOR_KEY,
  post,
  startEdgeUnderTest,
} from '../testing/edge-under-test.ts';
import { poolReport } from '../testing/pool-report.ts';

let under: EdgeUnderTest;
beforeAll(async () => {
  under = await startEdgeUnderTest({ probeOf: () => ({}), limits: { shop: {} } });
});
afterAll(() => under.dispose());

const route = '/admin/v1/tenants/shop/policies';
async function draft(policy: object): Promise<string> {
  const made = await post(under.edge, route, { policy }, OPERATOR_KEY);
  // The cast: what a draft is answered with.
  return ((await made.json()) as { version: string }).version;
}

async function answerUnder(version: string, request: string): Promise<ChatCompletion> {
  // The cast: what a trial is answered with.
  return (await (await post(under.edge, `${route}/${version}/try`, request, OPERATOR_KEY)).json()) as ChatCompletion;
}

test('a member of the helpfulness pool, which never looks, is not taken for weights without a probe', async () => {
  const ramp = { from: 0.5, full: 0.9 };
  const bare = await draft({ floor: 0.2, budget: null });
  const ruled = await draft({ floor: 0.2, budget: null, categories: { violence: { floor: 0.9, ramp } } });
  const request = JSON.stringify({ ...ask('Hi'), seed: 3, max_tokens: 6, plimsoll: { trace: 'tokens' } });
  const { plimsoll, ...rest } = await answerUnder(bare, request);
  // The operator's policy has rules, so a look was taken. An older answer came without one.
  const { iss: _iss, iat: _iat, ...claims } = decodeJwt(plimsoll.receipt!);
  // The cast: a receipt's claims.
  const receipt = await signReceipt({ ...claims, second_look: null } as unknown as Receipt, under.receiptKey);
  const answer = JSON.stringify({ ...rest, plimsoll: { ...plimsoll, receipt } });
  const replayed = async () =>
    (await post(under.edge, `${route}/${ruled}/replay`, { request, answer }, OPERATOR_KEY)).json();
  const unseen = { exact: false, redraws: true };
  expect(await replayed()).toMatchObject(unseen);

  const report = poolReport('http://127.0.0.1:13', { modes: ['edge'], serves: ['helpfulness'] });
  const key = await heartbeatKey(await helpfulnessKey(directiveKey(DIRECTIVE_SECRET)));
  const authorization = `Bearer ${await signHeartbeat({ incarnation: 1, counter: 1, report }, key)}`;
  const heard = await fetch(under.edge.url + HEARTBEAT_PATH, { method: 'POST', headers: { authorization } });
  expect([heard.status, await heard.json()]).toEqual([200, { drain: false }]);
  // An isolate believes its list for two seconds, and reads the next one beside a request.
  await new Promise((resolve) => setTimeout(resolve, 2500));
  await replayed();
  await new Promise((resolve) => setTimeout(resolve, 1000));
  expect(await replayed()).toMatchObject(unseen);
});
