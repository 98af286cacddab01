/** A key that signs receipts, and its public half. */
import { type CryptoKey, exportJWK, generateKeyPair, type JSONWebKeySet } from 'jose';
import type { EdgePrivateKey } from '../request/config.ts';

export type ReceiptKey = { privateKey: CryptoKey; kid: string; jwks: JSONWebKeySet; privateJwk: EdgePrivateKey };

export async function createReceiptKey(kid: string): Promise<ReceiptKey> {
  const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
  const { x, d } = await exportJWK(privateKey);
  const publicJwk = { kty: 'OKP', crv: 'Ed25519', x: x!, kid } as const;
  return { privateKey, kid, jwks: { keys: [publicJwk] }, privateJwk: { ...publicJwk, d: d! } };
}
