/**
 * The edge's receipts. A policy that refuses is a promise kept, too: the receipt lets anyone check
 * who refused what, under which policy. The edge signs it with a key of its own.
 */
import { CompactSign, type CryptoKey, compactVerify, importJWK } from 'jose';
import { PlimsollError } from '#shared/api/errors.ts';
import type { Tool } from '#shared/api/tool-calls.ts';
import type { Grammar } from '#shared/grammar/grammar.ts';
import type { Signal } from '#shared/line/categories.ts';
import { digestOfMessages, type EdgeReceipt, signEdgeReceipt } from '#shared/protocol/edge-receipt.ts';
import type { Message } from '#shared/protocol/generate.ts';
import { grammarDigest } from '#shared/protocol/grammar-digest.ts';
import { type Receipt, signReceipt } from '#shared/protocol/receipt.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import type { Config, EdgePrivateKey } from '../request/config.ts';
import type { Caller } from '../request/tenant-directory.ts';

export type SignEdgeReceipt = (receipt: EdgeReceipt) => Promise<string>;

/** Signs with the edge's key; null if the deployment has none. */
export type MixedSigner = (config: Config) => Promise<((receipt: Receipt) => Promise<string>) | null>;

/** Signs the receipts of answers that the edge has drawn itself. */
export function createMixedSigner(): MixedSigner {
  const known = new WeakMap<Config, CryptoKey>();
  return async (config) => {
    if (config.edgeKey === null) return null;
    const { kid } = config.edgeKey;
    const privateKey = known.get(config) ?? (await checkedKey(config.edgeKey));
    known.set(config, privateKey);
    return (receipt) => signReceipt(receipt, { privateKey, kid });
  };
}

/** Finds the signer of a deployment's settings; null if it has no key for that. */
export type EdgeSigner = (config: Config) => Promise<SignEdgeReceipt | null>;

/** Each settings' key is imported once. */
export function createEdgeSigner(): EdgeSigner {
  // We keep what a promise gave and not the promise, which belongs to the request that made it.
  const known = new WeakMap<Config, SignEdgeReceipt>();
  return async (config) => {
    if (config.edgeKey === null) return null;
    const signer = known.get(config) ?? (await signerOf(config.edgeKey));
    known.set(config, signer);
    return signer;
  };
}

async function signerOf(key: EdgePrivateKey): Promise<SignEdgeReceipt> {
  const privateKey = await checkedKey(key);
  return (receipt) => signEdgeReceipt(receipt, { privateKey, kid: key.kid });
}

async function checkedKey({ kid: _, ...jwk }: EdgePrivateKey): Promise<CryptoKey> {
  try {
    const { d: _private, ...publicHalf } = jwk;
    // importJWK returns bytes only for symmetric keys.
    const privateKey = (await importJWK(jwk, 'EdDSA')) as CryptoKey;
    const tried = await new CompactSign(new Uint8Array(1)).setProtectedHeader({ alg: 'EdDSA' }).sign(privateKey);
    await compactVerify(tried, await importJWK(publicHalf, 'EdDSA'));
    return privateKey;
  } catch (cause) {
    // A receipt that nobody can check would be worse than none.
    throw new PlimsollError('internal_error', 'The server is not configured.', {
      detail: ['EDGE_RECEIPT_JWK: its first key is no Ed25519 key, or its halves are no pair'],
      cause,
    });
  }
}

/** The error that a client gets in the place of an answer, with its receipt. */
export async function policyRefusal({
  text,
  because,
  messages,
  tools,
  grammar = null,
  requestId,
  caller,
  classifierVersion,
  sign,
}: {
  /** The sentence for the client. */
  text: string;
  /** The signal whose rule refuses, or null if the policy refuses everything. */
  because: Signal | null;
  messages: readonly Message[];
  tools: readonly Tool[];
  grammar?: Grammar | null;
  requestId: string;
  caller: Caller;
  classifierVersion: string;
  sign: SignEdgeReceipt | null;
}): Promise<PlimsollError> {
  const { tenant, key, version } = caller;
  const receipt = await sign?.({
    kind: 'refusal',
    request: requestId,
    tenant,
    key,
    policy: version,
    classifier: classifierVersion,
    because,
    ...(grammar !== null && { grammar: await grammarDigest(grammar) }),
    messages_digest: await digestOfMessages(messages, tools),
    text_digest: await sha256Hex(text),
  });
  return new PlimsollError('policy_refused', text, {
    extension: receipt === undefined ? undefined : { policy: { tenant, version }, receipt },
  });
}
