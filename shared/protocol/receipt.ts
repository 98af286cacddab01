/**
 * The receipt says what was done under a directive. The backend signs it as an Ed25519 JWS when an
 * answer ends, and anyone can check it with the keys of `GET /.well-known/jwks.json`. It identifies
 * prompt and answer only by their digests.
 */
import { type CryptoKey, createLocalJWKSet, type JSONWebKeySet, errors as joseErrors, jwtVerify, SignJWT } from 'jose';
import * as z from 'zod';
import { FinishReason, Usage } from '#shared/api/chat-answer.ts';
import { LookReport, WeightSummary } from '#shared/api/plimsoll-extension.ts';
import { Sampling } from '#shared/api/sampling.ts';
import { Line } from '#shared/line/line.ts';
import { AnswerPart } from './answer-part.ts';
import { ExpertKinds } from './expert-kind.ts';
import { Seed } from './generate.ts';
import { Ran } from './ran.ts';
import { Sha256 } from './sha256-schema.ts';

/**
 * Which backends gave the rows of one expert, in order. `from` and `to` are the positions of the
 * tokens that were drawn from them.
 */
const MixedPart = z.strictObject({
  backend: z.string(),
  /** The one directive that it followed. */
  directive: z.string(),
  from: z.int().min(0),
  to: z.int().min(0),
});

/**
 * How the edge mixed an answer itself. If the helpfulness expert's backends were gone, it has fewer
 * tokens than the answer or none, and the safety expert drew the others alone.
 */
export const Mixed = z.strictObject({ safety: z.array(MixedPart), helpfulness: z.array(MixedPart) });
export type Mixed = z.infer<typeof Mixed>;

export const Receipt = z.strictObject({
  request: z.string(),
  /**
   * The one directive that was followed, of a resumed answer the last. A retried request has had
   * several.
   */
  directive: z.string(),
  tenant: z.string(),
  /** The id of the API key. */
  key: z.string(),
  /** The versions of the effective policy, and of the classifier that read the prompt for it. */
  policy: z.string(),
  classifier: z.string(),
  model: z.string(),
  /** Which weights answered: SHA-256 over the bundle's files. */
  bundle: z.string(),
  /** What the experts of that bundle are. Spending is measured against the safety expert. */
  experts: ExpertKinds,
  /** Who signs, and who drew the answer, or its last part. */
  backend: z.string(),
  /**
   * Who drew what, in order, if one backend began the answer and others went on. Everything else
   * here is about the whole answer. Empty: `backend` drew all of it.
   */
  parts: z.array(AnswerPart).default([]),
  /** Left out: a backend mixed the experts, and signs. Else the edge did, and signs. */
  mixed: Mixed.optional(),
  /** The id of the secret behind the draws (derive-draw-key.ts). */
  draws: z.string(),
  /** The line that was held: the directive's, or as the second look has tightened it. */
  line: Line,
  /**
   * The digest of the directive's own line and rules for the second look (signed-line.ts). Left
   * out: an older backend signed it.
   */
  signed_line: Sha256.exactOptional(),
  /** null: only the edge looked at the prompt. */
  second_look: LookReport.nullable().default(null),
  /**
   * The k of truncated rows: spending is measured against the safety expert's own k likeliest
   * tokens. null: whole rows.
   */
  top_k: z.int().min(1).nullable(),
  weights: WeightSummary,
  /**
   * Nats. Null if the policy sets no budget, and the safety expert gave the answer no probability
   * or was not asked (see `ran`).
   */
  spent: z.number().nullable(),
  ran: Ran,
  usage: Usage,
  finish_reason: FinishReason,
  /**
   * Which of the request's answers this is, from 0, and how many there are. Each has a receipt of
   * its own: weights, spent, completion tokens and answer digest are this answer's alone.
   */
  choice: z.int().min(0),
  choices: z.int().min(1),
  seed: Seed,
  /**
   * The most tokens that the answer could have: the lesser of what the request and the policy
   * allowed. null: neither named a limit. Left out: an older backend signed it.
   */
  max_tokens: z.int().min(1).nullable().exactOptional(),
  /**
   * How tokens were drawn: what the client named, and the model's defaults. null: an older backend
   * signed it.
   */
  sampling: Sampling.nullable().default(null),
  /** SHA-256 of the grammar that the answer follows, in canonical JSON. Left out: free text. */
  grammar: Sha256.exactOptional(),
  /** SHA-256 of the request's body and of the answer's text, lower-case hex. */
  prompt_digest: z.string(),
  answer_digest: z.string(),
});
export type Receipt = z.infer<typeof Receipt>;

const ISSUER = 'plimsoll-backend';
/** Of an answer that the edge has mixed. */
const EDGE_ISSUER = 'plimsoll-edge';
export const RECEIPT_TYP = 'plimsoll-receipt+jwt';

export async function signReceipt(
  receipt: Receipt,
  { privateKey, kid, now = new Date() }: { privateKey: CryptoKey; kid: string; now?: Date },
): Promise<string> {
  return new SignJWT({ ...receipt })
    .setProtectedHeader({ alg: 'EdDSA', typ: RECEIPT_TYP, kid })
    .setIssuer(issuerOf(receipt))
    .setIssuedAt(Math.floor(now.getTime() / 1000))
    .sign(privateKey);
}

/**
 * Returns the receipt's content if one of the keys in `jwks` signed it. Otherwise throws jose's
 * error or a ZodError.
 */
export async function verifyReceipt(token: string, jwks: JSONWebKeySet): Promise<Receipt> {
  const { payload } = await jwtVerify(token, createLocalJWKSet(jwks), {
    algorithms: ['EdDSA', 'Ed25519'],
    issuer: [ISSUER, EDGE_ISSUER],
    typ: RECEIPT_TYP,
  });
  const { iss, iat: _iat, ...claims } = payload;
  const receipt = Receipt.parse(claims);
  if (iss !== issuerOf(receipt)) {
    throw new joseErrors.JWTClaimValidationFailed(`unexpected "iss" claim value: ${iss}`, payload, 'iss');
  }
  return receipt;
}

const issuerOf = ({ mixed }: Pick<Receipt, 'mixed'>) => (mixed === undefined ? ISSUER : EDGE_ISSUER);
