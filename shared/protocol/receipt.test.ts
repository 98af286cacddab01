import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { describe, expect, test } from 'vitest';
import { OPEN_LINE } from '#shared/line/line.ts';
import { type Receipt, signReceipt, verifyReceipt } from './receipt.ts';

const receipt: Receipt = {
  request: 'req_1',
  directive: '11111111-1111-4111-8111-111111111111',
  tenant: 'acme',
  key: 'main',
  policy: '0123456789abcdef',
  classifier: 'c1',
  model: 'm',
  bundle: 'b',
  experts: { safety: { kind: 'adapter+prompt', prompt: '0'.repeat(64) }, helpfulness: { kind: 'base' } },
  backend: 'backend-0',
  parts: [],
  draws: '01234567',
  line: { ...OPEN_LINE, floor: 0.9 },
  second_look: null,
  top_k: null,
  weights: { min: 0.9, mean: 0.95, max: 1 },
  spent: null,
  ran: { safety: 2, helpfulness: 2 },
  usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 },
  finish_reason: 'stop',
  choice: 0,
  choices: 1,
  seed: 7,
  sampling: { temperature: 0.7, top_p: 0.9, top_k: 0, min_p: 0, repetition_penalty: 1 },
  prompt_digest: 'p',
  answer_digest: 'a',
};

async function createKey(kid: string) {
  const { privateKey, publicKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
  return { privateKey, kid, jwk: { ...(await exportJWK(publicKey)), kid, alg: 'EdDSA' } };
}
const first = await createKey('first');
const second = await createKey('second');
const jwks = { keys: [first.jwk, second.jwk].map((jwk) => ({ ...jwk, kty: 'OKP' })) };

/** Signs what the type forbids. */
function signFaulty(faulty: object): Promise<string> {
  // The cast: a faulty backend, or one of an older version, may sign anything.
  return signReceipt(faulty as Receipt, first);
}

test('accepts a receipt signed by any of the published keys', async () => {
  expect(await verifyReceipt(await signReceipt(receipt, first), jwks)).toEqual(receipt);
  expect(await verifyReceipt(await signReceipt(receipt, second), jwks)).toEqual(receipt);
});

test('a receipt from before answers had parts is still read', async () => {
  const { parts: _, ...older } = receipt;
  expect(await verifyReceipt(await signFaulty(older), jwks)).toEqual(receipt);
});

describe('refuses', () => {
  test.each<[string, () => Promise<string>]>([
    ['a key that was not published', async () => signReceipt(receipt, await createKey('third'))],
    [
      'another key under the name of a published one',
      async () => signReceipt(receipt, { ...(await createKey('x')), kid: 'first' }),
    ],
    [
      'changed content',
      async () => {
        const [head, , signature] = (await signReceipt(receipt, first)).split('.');
        const other = (await signReceipt({ ...receipt, spent: 0 }, first)).split('.')[1];
        return [head, other, signature].join('.');
      },
    ],
    [
      'another type of token',
      () =>
        new SignJWT({ ...receipt })
          .setProtectedHeader({ alg: 'EdDSA', typ: 'JWT', kid: 'first' })
          .setIssuer('plimsoll-backend')
          .setIssuedAt()
          .sign(first.privateKey),
    ],
    ['an older receipt, which does not say what the experts are', () => signFaulty({ ...receipt, experts: undefined })],
    [
      'a prompt without its digest',
      () => signFaulty({ ...receipt, experts: { ...receipt.experts, safety: { kind: 'prompt' } } }),
    ],
    ['a missing field', () => signFaulty({ ...receipt, line: undefined })],
    ['an extra field', () => signFaulty({ ...receipt, extra: 1 })],
    ['noise', async () => 'a.b.c'],
  ])('%s', async (_name, make) => {
    await expect(verifyReceipt(await make(), jwks)).rejects.toThrow();
  });
});
