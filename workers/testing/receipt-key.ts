/** A key that signs receipts, and its public half. */
import { type CryptoKey, exportJWK, generateKeyPair, type JSONWebKeySet } from 'jose';

export type ReceiptKey = { privateKey: CryptoKey; kid: string; jwks: JSONWebKeySet };

export async function createReceiptKey(kid: string): Promise<ReceiptKey> {
  const { privateKey, publicKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
  const jwk = await exportJWK(publicKey);
  return { privateKey, kid, jwks: { keys: [{ ...jwk, kty: 'OKP', kid }] } };
}
