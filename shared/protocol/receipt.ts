/**
 * The receipt: what came of a directive. An Ed25519 JWS made by the backend when an answer ends; anyone can check one
 * with the keys of `GET /.well-known/jwks.json`. It names prompt and answer by digest only.
 */
import { type CryptoKey, createLocalJWKSet, type JSONWebKeySet, jwtVerify, SignJWT } from 'jose';
import * as z from 'zod';
import { Line } from './directive.ts';
import { Usage, WeightSummary } from './generate.ts';

export const Receipt = z.strictObject({
  request: z.string(),
  tenant: z.string(),
  policy: z.string(),
  model: z.string(),
  /** Which weights answered: SHA-256 over the bundle's files. */
  bundle: z.string(),
  backend: z.string(),
  line: Line,
  weights: WeightSummary,
  /** Nats; null where the policy sets no budget and the safety expert gave the answer no probability. */
  spent: z.number().nullable(),
  usage: Usage,
  finish_reason: z.enum(['stop', 'length']),
  seed: z.int(),
  /** SHA-256 of the request's body and of the answer's text, lower-case hex. */
  prompt_digest: z.string(),
  answer_digest: z.string(),
});
export type Receipt = z.infer<typeof Receipt>;

const ISSUER = 'plimsoll-backend';
const TYP = 'plimsoll-receipt+jwt';

export async function signReceipt(
  receipt: Receipt,
  { privateKey, kid, now = new Date() }: { privateKey: CryptoKey; kid: string; now?: Date },
): Promise<string> {
  return new SignJWT({ ...receipt })
    .setProtectedHeader({ alg: 'EdDSA', typ: TYP, kid })
    .setIssuer(ISSUER)
    .setIssuedAt(Math.floor(now.getTime() / 1000))
    .sign(privateKey);
}

/** The receipt's content if one of `jwks` signed it; throws jose's error or a ZodError otherwise. */
export async function verifyReceipt(token: string, jwks: JSONWebKeySet): Promise<Receipt> {
  const { payload } = await jwtVerify(token, createLocalJWKSet(jwks), {
    algorithms: ['EdDSA', 'Ed25519'],
    issuer: ISSUER,
    typ: TYP,
  });
  const { iss: _iss, iat: _iat, ...claims } = payload;
  return Receipt.parse(claims);
}
