import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { expect, test } from 'vitest';
import { digestOfMessages, type EdgeReceipt, signEdgeReceipt, verifyEdgeReceipt } from './edge-receipt.ts';
import { sha256Hex } from './sha256.ts';

const receipt: EdgeReceipt = {
  kind: 'refusal',
  request: 'req_1',
  tenant: 'acme',
  key: 'main',
  policy: '0123456789abcdef',
  classifier: 'c1',
  because: 'violence',
  messages_digest: '0'.repeat(64),
  text_digest: '1'.repeat(64),
};
const { privateKey, publicKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
const jwks = { keys: [{ ...(await exportJWK(publicKey)), kty: 'OKP', kid: 'edge' }] };
const key = { privateKey, kid: 'edge' };

const cached: EdgeReceipt = {
  kind: 'cached',
  how: 'hit',
  request: 'req_2',
  tenant: 'acme',
  key: 'main',
  policy: '0123456789abcdef',
  classifier: 'c1',
  messages_digest: '0'.repeat(64),
  first: { request: 'req_1', receipt_digest: '2'.repeat(64) },
  answer_digest: '3'.repeat(64),
};

function signFaulty(faulty: object): Promise<string> {
  // The cast: a faulty edge may sign what the type forbids.
  return signEdgeReceipt(faulty as EdgeReceipt, key);
}

test.each([receipt, cached])('a receipt comes back as it was signed: $kind', async (signed) => {
  expect(await verifyEdgeReceipt(await signEdgeReceipt(signed, key), jwks)).toEqual(signed);
});

test.each<[string, () => Promise<string>]>([
  ['a key that was not published', async () => signEdgeReceipt(receipt, { ...key, kid: 'other' })],
  ['an unknown kind', () => signFaulty({ ...receipt, kind: 'praise' })],
  ['an extra field', () => signFaulty({ ...receipt, extra: 1 })],
  ['a cached answer that names no first one', () => signFaulty({ ...cached, first: null })],
  ['an unknown signal', () => signFaulty({ ...receipt, because: 'mood' })],
  [
    "the type of a backend's receipt",
    () =>
      new SignJWT({ ...receipt })
        .setProtectedHeader({ alg: 'EdDSA', typ: 'plimsoll-receipt+jwt', kid: 'edge' })
        .setIssuer('plimsoll-edge')
        .sign(privateKey),
  ],
])('refuses %s', async (_name, make) => {
  await expect(verifyEdgeReceipt(await make(), jwks)).rejects.toThrow();
});

test('the digest of a conversation is that of its compact JSON, role first', async () => {
  const text = '[{"role":"system","content":"Be brief."},{"role":"user","content":"Grüße"}]';
  const messages = [
    { content: 'Be brief.', role: 'system' as const },
    { role: 'user' as const, content: 'Grüße' },
  ];
  expect(await digestOfMessages(messages)).toBe(await sha256Hex(text));
});
