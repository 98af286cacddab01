import { type CryptoKey, calculateJwkThumbprint, importJWK } from 'jose';
import { type Receipt, signReceipt } from '#shared/protocol/receipt.ts';
import type { ReceiptPrivateJwk } from './config.ts';

export type SignReceipt = (receipt: Receipt) => Promise<string>;

/** Rejects if the key is not valid, so a backend that could not sign does not start. */
export async function receiptSigner({ kid: name, ...jwk }: ReceiptPrivateJwk): Promise<SignReceipt> {
  const kid = name ?? (await calculateJwkThumbprint(jwk));
  // importJWK returns bytes only for symmetric keys.
  const privateKey = (await importJWK(jwk, 'EdDSA')) as CryptoKey;
  return (receipt) => signReceipt(receipt, { privateKey, kid });
}
