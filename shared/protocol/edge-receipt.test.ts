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

test('a receipt comes back as it was signed', async () => {
  expect(await verifyEdgeReceipt(await signEdgeReceipt(receipt, key), jwks)).toEqual(receipt);
});

test.each<[string, () => Promise<string>]>([
  ['a key that was not published', async () => signEdgeReceipt(receipt, { ...key, kid: 'other' })],
  // The casts: a faulty edge may sign what the type forbids.
  ['an unknown kind', () => signEdgeReceipt({ ...receipt, kind: 'praise' } as unknown as EdgeReceipt, key)],
  ['an extra field', () => signEdgeReceipt({ ...receipt, extra: 1 } as EdgeReceipt, key)],
  ['an unknown signal', () => signEdgeReceipt({ ...receipt, because: 'mood' } as unknown as EdgeReceipt, key)],
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
