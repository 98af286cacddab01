/** Alerts as their receiver sees them: a real HTTP server that fails first. */
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ask, type EdgeUnderTest, eventually, post, startEdgeUnderTest, testKey } from '../testing/edge-under-test.ts';

const SECRET = `whsec_${Buffer.alloc(24, 7).toString('base64')}`;
/** The scripted answer to 'Hi'. */
const COST = 14;
const LIMIT = 200;

type Received = { headers: IncomingHttpHeaders; body: string };

let under: EdgeUnderTest;
let receiver: Server;
const received: Received[] = [];
/** How many of the next alerts the receiver does not take. */
let failures = 2;

beforeAll(async () => {
  receiver = createServer(async (request, response) => {
    const chunks: Buffer[] = await Array.fromAsync(request);
    received.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
    response.writeHead(failures-- > 0 ? 500 : 204).end();
  });
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  under = await startEdgeUnderTest({
    limits: { acme: { tokens_per_day: LIMIT, tokens_per_month: 100 * LIMIT } },
    overrides: {
      ALERT_WEBHOOK_URL: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/alerts`,
      ALERT_WEBHOOK_SECRET: SECRET,
      ALERT_SHARES: '0.1,0.5,1',
    },
  });
});
afterAll(async () => {
  await under.dispose();
  receiver.close();
});

const answer = async (body: object = { max_tokens: 20 }) =>
  (await post(under.edge, '/v1/chat/completions', { ...ask('Hi'), ...body }, testKey('acme'))).status;
/** Verified by the library of Standard Webhooks, as a receiver would. */
const read = ({ headers, body }: Received) =>
  new Webhook(SECRET).verify(body, headers as Record<string, string>) as { data: Record<string, unknown> };
const shares = () => received.slice(2).map((each) => read(each).data.share);

test('an alert is signed, and sent again until the receiver takes it', async () => {
  expect([await answer(), await answer()]).toEqual([200, 200]);
  await eventually(
    () => received.length,
    (count) => count === 3,
    30_000,
  );
  const [first, second, third] = received;
  expect([first!.body, second!.body]).toEqual([third!.body, third!.body]);
  expect(new Set(received.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
  const day = new Date().toISOString().slice(0, 10);
  expect(read(third!)).toEqual({
    type: 'budget.share_reached',
    timestamp: expect.stringMatching(/^20/),
    data: { tenant: 'acme', period: 'day', window: day, share: 0.1, limit: LIMIT, set_by: 'tenant', spent: 2 * COST },
  });
  expect(() => read({ ...third!, body: third!.body.replace('acme', 'evil') })).toThrow(/signature/);
});

test('each share is alerted of once, and the last when a request finds no room', async () => {
  for (let i = 0; i < 6; i++) expect(await answer()).toBe(200);
  await eventually(shares, (list) => list.length === 2);
  expect(shares()).toEqual([0.1, 0.5]);
  // There is room for 20 tokens more, but not for 64.
  expect([await answer({}), await answer({})]).toEqual([200, 200]);
  for (let i = 0; i < 5; i++) await answer({ max_tokens: 64 });
  await eventually(shares, (list) => list.length === 3);
  expect(await answer({ max_tokens: 64 })).toBe(429);
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  expect(shares()).toEqual([0.1, 0.5, 1]);
});
