/**
 * The directive: what the edge tells a backend for one request. It is a compact JWS (HS256) in the header
 * `x-plimsoll-directive`, lives for seconds, and is bound to the bytes of the request by their SHA-256, so that a floor
 * can neither be replayed for another prompt nor be left out.
 */
import { errors as joseErrors, jwtVerify, SignJWT } from 'jose';
import * as z from 'zod';
import { PlimsollError } from '#shared/api/errors.ts';
import { Line, Share } from '#shared/line/line.ts';
import { SignalRules } from '#shared/line/rules.ts';
import { sha256Hex } from './sha256.ts';

export const DIRECTIVE_HEADER = 'x-plimsoll-directive';
/** Long enough for a slow queue between edge and backend, short enough that a leaked directive is soon worth nothing. */
export const DIRECTIVE_TTL_SECONDS = 30;

/** Lower-case hex. */
const Sha256 = z.string().regex(/^[0-9a-f]{64}$/);

const ISSUER = 'plimsoll-edge';
const AUDIENCE = 'plimsoll-backend';

/**
 * The policy's rules for a second look, which a backend whose bundle has a probe takes at the prompt before the first token. It
 * may tighten the line by them and never loosen it. `base` is the policy's own floor, from which ramps rise.
 */
const SecondLook = z.strictObject({ base: Share, rules: SignalRules });

/** Where an answer stands that another backend began: the last frame that it vouched for, by its MAC. */
const ResumeState = z.strictObject({
  /** Tokens drawn so far, and nats spent by them. */
  position: z.int().min(1),
  spent: z.number(),
  /** SHA-256 over their ids, lower-case hex. */
  ids_digest: Sha256,
  mac: z.string().min(1),
});

export const Directive = z.strictObject({
  /** Of this directive and no other: a backend takes it once. A retry is signed anew with a new one. */
  id: z.uuid(),
  request: z.string().min(1),
  tenant: z.string().min(1),
  /** The id of the API key; part of what an answer's draws are keyed by. */
  key: z.string().min(1),
  /** The version of the effective policy: all levels joined. */
  policy: z.string().min(1),
  /** The version of the classifier that read the prompt. */
  classifier: z.string().min(1),
  /** SHA-256 of the request's body. */
  digest: Sha256,
  line: Line,
  /** null: the edge's look is the only one. */
  second_look: SecondLook.nullable(),
  /** null: the answer begins here. */
  resume: ResumeState.nullable(),
});
export type Directive = z.infer<typeof Directive>;

/** The shared secret as a key. Throws on one too short to be a secret (under 32 bytes). */
export function directiveKey(secret: string): Uint8Array {
  const key = new TextEncoder().encode(secret);
  if (key.byteLength < 32) throw new Error(`the directive secret has ${key.byteLength} bytes; it needs at least 32`);
  return key;
}

export async function signDirective(directive: Directive, key: Uint8Array, now: Date = new Date()): Promise<string> {
  const issuedAt = Math.floor(now.getTime() / 1000);
  return new SignJWT({ ...directive })
    .setProtectedHeader({ alg: 'HS256', typ: 'plimsoll-directive+jwt' })
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + DIRECTIVE_TTL_SECONDS)
    .sign(key);
}

/**
 * The directive of one request, or a PlimsollError: `directive_invalid` for a missing, forged, malformed or
 * foreign one, `directive_expired` for an old one. There is no third way and no default.
 */
export async function verifyDirective(
  token: string | undefined,
  body: Uint8Array,
  key: Uint8Array,
  now: Date = new Date(),
): Promise<Directive> {
  if (token === undefined || token === '') {
    throw new PlimsollError('directive_invalid', `This request needs a signed directive in ${DIRECTIVE_HEADER}.`);
  }
  const payload = await jwtVerify(token, key, {
    algorithms: ['HS256'],
    typ: 'plimsoll-directive+jwt',
    issuer: ISSUER,
    audience: AUDIENCE,
    requiredClaims: ['exp', 'iat'],
    maxTokenAge: DIRECTIVE_TTL_SECONDS,
    currentDate: now,
  }).then(
    (verified) => verified.payload,
    (cause: unknown) => {
      if (cause instanceof joseErrors.JWTExpired) {
        throw new PlimsollError('directive_expired', 'The directive has expired.', { cause });
      }
      throw new PlimsollError('directive_invalid', 'The directive is not valid.', { cause });
    },
  );
  const { iss: _iss, aud: _aud, iat: _iat, exp: _exp, ...claims } = payload;
  const parsed = Directive.safeParse(claims);
  if (!parsed.success) {
    throw new PlimsollError('directive_invalid', 'The directive is malformed.', { cause: parsed.error });
  }
  if (parsed.data.digest !== (await sha256Hex(body))) {
    throw new PlimsollError('directive_invalid', 'The directive belongs to another request.');
  }
  return parsed.data;
}
