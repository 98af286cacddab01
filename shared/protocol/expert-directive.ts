/**
 * The directive for one expert: what the edge tells a backend whose rows it wants to mix itself. It
 * is a compact JWS (HS256) in the header of a WebSocket's upgrade, valid for seconds, and bound to
 * the request's bytes by their SHA-256. Its key is derived from the directive secret under a label
 * of its own, so it never passes for a directive that lets a backend answer, and neither does one
 * of those for it. Each expert has its own key, and so has the helpfulness pool, which may be other
 * people's: what it can sign is of no use at any backend outside it (pool-secret.ts).
 */
import { errors as joseErrors, jwtVerify, SignJWT } from 'jose';
import * as z from 'zod';
import { PlimsollError } from '#shared/api/errors.ts';
import { derivedKey } from './derived-key.ts';
import { DIRECTIVE_TTL_SECONDS, Directive } from './directive.ts';
import { helpfulnessKey } from './pool-secret.ts';

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

/**
 * The key for one expert's directives to the deployment's own backends.
 *
 * @param directiveKey the deployment's directive secret, as bytes
 */
export async function expertKey(directiveKey: Uint8Array, expert: Role): Promise<Uint8Array> {
  return expert === 'safety' ? keyUnder(directiveKey) : derivedKey('plimsoll-expert/1 helpfulness', directiveKey);
}

/** The key for directives to the helpfulness pool, which has it too. */
export async function poolExpertKey(directiveKey: Uint8Array): Promise<Uint8Array> {
  return keyUnder(await helpfulnessKey(directiveKey));
}

/** By expert, the keys under which a backend takes directives. */
export type ExpertKeys = Readonly<Record<Role, readonly Uint8Array[]>>;

/** Of a backend that has the deployment's directive secrets. */
export async function expertKeysOf(directiveKeys: readonly Uint8Array[]): Promise<ExpertKeys> {
  const [safety, helpfulness] = await Promise.all(
    ROLES.map((role) => Promise.all(directiveKeys.map((key) => expertKey(key, role)))),
  );
  return { safety: safety ?? [], helpfulness: helpfulness ?? [] };
}

/** Of a backend that has only the helpfulness pool's own secrets. */
export async function helpfulnessKeysOf(poolKeys: readonly Uint8Array[]): Promise<ExpertKeys> {
  return { safety: [], helpfulness: await Promise.all(poolKeys.map(keyUnder)) };
}

const keyUnder = (secret: Uint8Array) => derivedKey('plimsoll-expert/1', secret);

/** @param key see `expertKey` and `poolExpertKey` */
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
 * The directive, under whichever of its expert's keys has signed, or a PlimsollError:
 * `directive_invalid` or `directive_expired`. The caller still has to compare its digest with the
 * body.
 */
export async function verifyExpertDirective(
  token: string | undefined,
  keys: ExpertKeys,
  now: Date = new Date(),
): Promise<ExpertDirective> {
  if (token === undefined || token === '') {
    throw new PlimsollError('directive_invalid', `An expert needs a signed directive in ${EXPERT_HEADER}.`);
  }
  let failure: unknown;
  for (const [role, key] of ROLES.flatMap((role) => keys[role].map((key) => [role, key] as const))) {
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
      const directive = ExpertDirective.parse(claims);
      if (directive.expert === role) return directive;
      throw new Error(`the key for ${role} has signed a directive for ${directive.expert}`);
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
