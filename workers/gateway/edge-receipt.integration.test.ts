/** A refusal's receipt: the edge's own, and checked with what it publishes. */
import { createHash } from 'node:crypto';
import type { JSONWebKeySet } from 'jose';
import { APIError } from 'openai';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ErrorBody } from '#shared/api/errors.ts';
import { verifyEdgeReceipt } from '#shared/protocol/edge-receipt.ts';
import { verifyReceipt } from '#shared/protocol/receipt.ts';
import { ask, type EdgeUnderTest, openaiClient, post, startEdgeUnderTest } from '../testing/edge-under-test.ts';
import { createReceiptKey } from '../testing/receipt-key.ts';

let under: EdgeUnderTest;
beforeAll(async () => {
  under = await startEdgeUnderTest();
});
afterAll(() => under.dispose());

const REFUSED = ask('[[child_abuse=0.99]]');

async function publishedKeys({ edge }: EdgeUnderTest): Promise<JSONWebKeySet> {
  return (await (await fetch(`${edge.url}/.well-known/jwks.json`)).json()) as JSONWebKeySet;
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

test.each([false, true])('a refusal has a receipt that anyone can check (stream: %s)', async (stream) => {
  const refused = await post(under.edge, '/v1/chat/completions', { ...REFUSED, stream }, 'pk-demo-strict');
  expect(refused.status).toBe(403);
  const { error } = (await refused.json()) as ErrorBody;
  const keys = await publishedKeys(under);
  expect(await verifyEdgeReceipt(error.plimsoll!.receipt, keys)).toEqual({
    kind: 'refusal',
    request: refused.headers.get('x-request-id'),
    tenant: 'demo-strict',
    key: 'demo',
    policy: error.plimsoll!.policy.version,
    classifier: 'scripted',
    because: 'child_abuse',
    messages_digest: sha256(JSON.stringify(REFUSED.messages)),
    text_digest: sha256(error.message),
  });
  // A backend's receipt is another thing, even with all keys at hand.
  await expect(verifyReceipt(error.plimsoll!.receipt, keys)).rejects.toThrow();
});

test("OpenAI's client hands the receipt to its user", async () => {
  const thrown: unknown = await openaiClient(under.edge, 'pk-demo-strict')
    .chat.completions.create(REFUSED)
    .catch((error: unknown) => error);
  expect(thrown).toBeInstanceOf(APIError);
  const { code, error } = thrown as InstanceType<typeof APIError>;
  expect(code).toBe('policy_refused');
  expect(error).toMatchObject({ plimsoll: { policy: { tenant: 'demo-strict' }, receipt: expect.any(String) } });
});

test('the edge publishes its public half beside those of the backends, and no private one', async () => {
  const { keys } = await publishedKeys(under);
  expect(keys.map(({ kid }) => kid)).toEqual(['test-key', 'edge-key']);
  expect(JSON.stringify(keys)).not.toContain(under.edgeKey.privateJwk.d);
});

test("a backend's answer under the edge's own key is not accepted", async () => {
  const [backend] = under.backends;
  const { privateKey, kid } = under.receiptKey;
  Object.assign(under.receiptKey, { privateKey: under.edgeKey.privateKey, kid: 'edge-key' });
  const answer = await post(under.edge, '/v1/chat/completions', ask('Hello'));
  Object.assign(under.receiptKey, { privateKey, kid });
  expect(backend!.seen.length).toBeGreaterThan(0);
  expect(answer.status).toBe(502);
  expect(await answer.json()).toMatchObject({ error: { code: 'receipt_invalid' } });
});

test('without a key, refusals go without a receipt, and the log says so once', async () => {
  const plain = await startEdgeUnderTest({ overrides: { EDGE_RECEIPT_JWK: null } });
  try {
    for (let i = 0; i < 3; i++) {
      const refused = await post(plain.edge, '/v1/chat/completions', REFUSED, 'pk-demo-strict');
      expect(refused.status).toBe(403);
      expect(await refused.json()).not.toHaveProperty('error.plimsoll');
    }
    expect(plain.log.filter((line) => line.includes('edge-receipts-off'))).toHaveLength(1);
    expect((await publishedKeys(plain)).keys.map(({ kid }) => kid)).toEqual(['test-key']);
  } finally {
    await plain.dispose();
  }
});

test('with a new key in front of the old one, new receipts are by the new key and old ones still verify', async () => {
  const next = await createReceiptKey('edge-key-2');
  const before = await post(under.edge, '/v1/chat/completions', REFUSED, 'pk-demo-strict');
  const old = ((await before.json()) as ErrorBody).error.plimsoll!.receipt;
  // Of the old key only the public half is still needed.
  const EDGE_RECEIPT_JWK = JSON.stringify({ keys: [next.privateJwk, under.edgeKey.jwks.keys[0]] });
  const rotated = await startEdgeUnderTest({ overrides: { EDGE_RECEIPT_JWK } });
  try {
    const after = await post(rotated.edge, '/v1/chat/completions', REFUSED, 'pk-demo-strict');
    const { receipt } = ((await after.json()) as ErrorBody).error.plimsoll!;
    const keys = await publishedKeys(rotated);
    expect(await verifyEdgeReceipt(receipt, keys)).toMatchObject({ because: 'child_abuse' });
    expect(await verifyEdgeReceipt(old, keys)).toMatchObject({ because: 'child_abuse' });
    await expect(verifyEdgeReceipt(receipt, under.edgeKey.jwks)).rejects.toThrow();
  } finally {
    await rotated.dispose();
  }
});

test('a key whose halves are no pair signs nothing', async () => {
  const { x } = (await createReceiptKey('other')).privateJwk;
  const EDGE_RECEIPT_JWK = JSON.stringify({ ...under.edgeKey.privateJwk, x });
  const broken = await startEdgeUnderTest({ overrides: { EDGE_RECEIPT_JWK } });
  try {
    const refused = await post(broken.edge, '/v1/chat/completions', REFUSED, 'pk-demo-strict');
    expect(refused.status).toBe(500);
    expect(broken.log.join('\n')).toContain('EDGE_RECEIPT_JWK');
    expect(broken.log.join('\n')).not.toContain(under.edgeKey.privateJwk.d);
  } finally {
    await broken.dispose();
  }
});
