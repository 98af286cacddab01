/**
 * The edge's own receipt: what the edge did itself, without a backend. That is a refusal by the
 * tenant's policy, or an answer given again that was made for an earlier request. It is an Ed25519
 * JWS like a backend's receipt (receipt.ts), by a key of the edge's own and with a type of its own,
 * so neither passes for the other. It identifies what was asked and what was said only by their
 * digests.
 */
import { type CryptoKey, createLocalJWKSet, type JSONWebKeySet, jwtVerify, SignJWT } from 'jose';
import * as z from 'zod';
import type { Tool } from '#shared/api/tool-calls.ts';
import { SIGNALS } from '#shared/line/categories.ts';
import type { Message } from './generate.ts';
import { sha256Hex } from './sha256.ts';

/** Lower-case hex. */
const Sha256 = z.string().regex(/^[0-9a-f]{64}$/);

const about = {
  request: z.string(),
  tenant: z.string(),
  /** The id of the API key. */
  key: z.string(),
  /** The versions of the effective policy, and of the classifier that read the prompt for it. */
  policy: z.string(),
  classifier: z.string(),
  /** SHA-256 of the conversation, see `digestOfMessages`. */
  messages_digest: Sha256,
};

const RefusalReceipt = z.strictObject({
  kind: z.literal('refusal'),
  ...about,
  /** The signal whose rule refuses; null if the policy refuses everything. */
  because: z.enum(SIGNALS).nullable(),
  /** As in a backend's receipt: the digest of the grammar. Its words are read, too. */
  grammar: Sha256.optional(),
  /** SHA-256 of the sentence that the client got in place of an answer. */
  text_digest: Sha256,
});

const CachedReceipt = z.strictObject({
  kind: z.literal('cached'),
  /** `hit`: the answer had been kept. `coalesced`: it was being made for the other request. */
  how: z.enum(['hit', 'coalesced']),
  ...about,
  /** For whom the answer was made, and SHA-256 of the receipt's token that it got then. */
  first: z.strictObject({ request: z.string(), receipt_digest: Sha256 }),
  /** As in that receipt: SHA-256 of the answer's text. */
  answer_digest: Sha256,
});
export type CachedReceipt = z.infer<typeof CachedReceipt>;

export const EdgeReceipt = z.discriminatedUnion('kind', [RefusalReceipt, CachedReceipt]);
export type EdgeReceipt = z.infer<typeof EdgeReceipt>;

const ISSUER = 'plimsoll-edge';
export const EDGE_RECEIPT_TYP = 'plimsoll-edge-receipt+jwt';

/**
 * SHA-256 over the JSON of the conversation without white space: a list of `{"role","content"}`, in
 * that order of fields, each content as one string. A message about tools has `tool_calls`, each
 * `{"id","name","arguments"}`, or `tool_call_id` behind these. If there are tools, it is the list
 * of the messages and that of the tools: `{"name","description","parameters","strict"}`.
 */
export function digestOfMessages(messages: readonly Message[], tools: readonly Tool[] = []): Promise<string> {
  const listed = messages.map(({ role, content, tool_calls, tool_call_id }) => ({
    role,
    content,
    tool_calls: tool_calls?.map(({ id, name, arguments: json }) => ({ id, name, arguments: json })),
    tool_call_id,
  }));
  return sha256Hex(JSON.stringify(tools.length === 0 ? listed : [listed, tools]));
}

export async function signEdgeReceipt(
  receipt: EdgeReceipt,
  { privateKey, kid, now = new Date() }: { privateKey: CryptoKey; kid: string; now?: Date },
): Promise<string> {
  return new SignJWT({ ...receipt })
    .setProtectedHeader({ alg: 'EdDSA', typ: EDGE_RECEIPT_TYP, kid })
    .setIssuer(ISSUER)
    .setIssuedAt(Math.floor(now.getTime() / 1000))
    .sign(privateKey);
}

/**
 * Returns the receipt's content if one of the keys in `jwks` signed it. Otherwise throws jose's
 * error or a ZodError.
 */
export async function verifyEdgeReceipt(token: string, jwks: JSONWebKeySet): Promise<EdgeReceipt> {
  const { payload } = await jwtVerify(token, createLocalJWKSet(jwks), {
    algorithms: ['EdDSA', 'Ed25519'],
    issuer: ISSUER,
    typ: EDGE_RECEIPT_TYP,
  });
  const { iss: _iss, iat: _iat, ...claims } = payload;
  return EdgeReceipt.parse(claims);
}
