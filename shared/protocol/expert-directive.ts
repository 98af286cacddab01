/**
 * The directive for one expert: what the edge tells a backend whose rows it wants to mix itself. It
 * is a compact JWS (HS256) in the header of a WebSocket's upgrade, valid for seconds, and bound to
 * the request's bytes by their SHA-256. Its key is derived from the directive secret under a label
 * of its own, so it never passes for a directive that lets a backend answer, and neither does one
 * of those for it.
 */
import { errors as joseErrors, jwtVerify, SignJWT } from 'jose';
import * as z from 'zod';
import { PlimsollError } from '#shared/api/errors.ts';
import { derivedKey } from './derived-key.ts';
import { DIRECTIVE_TTL_SECONDS, Directive } from './directive.ts';

export const EXPERT_HEADER = 'x-plimsoll-expert';
/** Where a backend gives the rows of an expert. */
export const EXPERTS_PATH = '/v1/experts';

/** The experts that can be in different pools. */
export const ROLES = ['safety', 'helpfulness'] as const;
export const Role = z.enum(ROLES);
export type Role = z.infer<typeof Role>;

/** The most tokens of a truncated row, and the most positions to run ahead. */
export const MOST_TOP_K = 4096;
export const MOST_AHEAD = 64;

export const ExpertDirective = z.strictObject({
  ...Directive.omit({ resume: true }).shape,
  expert: Role,
  /** Rows have the k likeliest tokens. null: whole rows. Draw keys depend on it. */
  top_k: z.int().min(1).max(MOST_TOP_K).nullable(),
  /**
   * How many positions the expert may go on by itself, along its own draws, before it hears what
   * the edge has drawn.
   */
  ahead: z.int().min(0).max(MOST_AHEAD),
});
export type ExpertDirective = z.infer<typeof ExpertDirective>;

const ISSUER = 'plimsoll-edge';
const AUDIENCE = 'plimsoll-expert';
const TYP = 'plimsoll-expert+jwt';

export const expertKey = (directiveKey: Uint8Array) => derivedKey('plimsoll-expert/1', directiveKey);

/** @param key see `expertKey` */
export async function signExpertDirective(
  directive: ExpertDirective,
  key: Uint8Array,
  now: Date = new Date(),
): Promise<string> {
  const issuedAt = Math.floor(now.getTime() / 1000);
  return new SignJWT({ ...directive })
    .setProtectedHeader({ alg: 'HS256', typ: TYP })
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + DIRECTIVE_TTL_SECONDS)
    .sign(key);
}

/**
 * The directive, under whichever of the keys has signed, or a PlimsollError: `directive_invalid` or
 * `directive_expired`. The caller still has to compare its digest with the body.
 */
export async function verifyExpertDirective(
  token: string | undefined,
  keys: readonly Uint8Array[],
  now: Date = new Date(),
): Promise<ExpertDirective> {
  if (token === undefined || token === '') {
    throw new PlimsollError('directive_invalid', `An expert needs a signed directive in ${EXPERT_HEADER}.`);
  }
  let failure: unknown;
  for (const key of keys) {
    try {
      const { payload } = await jwtVerify(token, key, {
        algorithms: ['HS256'],
        typ: TYP,
        issuer: ISSUER,
        audience: AUDIENCE,
        requiredClaims: ['exp', 'iat'],
        maxTokenAge: DIRECTIVE_TTL_SECONDS,
        currentDate: now,
      });
      const { iss: _iss, aud: _aud, iat: _iat, exp: _exp, ...claims } = payload;
      return ExpertDirective.parse(claims);
    } catch (cause) {
      failure = cause;
      if (!(cause instanceof joseErrors.JWSSignatureVerificationFailed)) break;
    }
  }
  const isOld = failure instanceof joseErrors.JWTExpired;
  throw new PlimsollError(
    isOld ? 'directive_expired' : 'directive_invalid',
    isOld ? 'The directive has expired.' : 'The directive is not valid.',
    { cause: failure },
  );
}
