/**
 * The directive: what the edge tells a backend for one request. It is a compact JWS (HS256) in the header
 * `x-plimsoll-directive`, lives for seconds, and is bound to the bytes of the request by their SHA-256, so that a floor
 * can neither be replayed for another prompt nor be left out.
 */
import { errors as joseErrors, jwtVerify, SignJWT } from 'jose';
import * as z from 'zod';
import { PlimsollError } from '#shared/api/errors.ts';

export const DIRECTIVE_HEADER = 'x-plimsoll-directive';
/** Long enough for a slow queue between edge and backend, short enough that a leaked directive is soon worth nothing. */
export const DIRECTIVE_TTL_SECONDS = 30;

const ISSUER = 'plimsoll-edge';
const AUDIENCE = 'plimsoll-backend';

/**
 * Where the experts are mixed. `logits`: two rows, one an expert, mixed by the gate. `layers`: one row in which a router mixes them inside
 * every layer (MidPO, arXiv 2506.02460), and the safety expert's row beside it.
 */
export const MODES = ['logits', 'layers'] as const;
export const Mode = z.enum(MODES);
export type Mode = z.infer<typeof Mode>;

/** The gate's settings for one answer; the same words as `GatePolicy` in shared/gate. */
export const Line = z.strictObject({
  /** `refuse` never reaches a backend. */
  action: z.enum(['mix', 'safety_only']),
  mode: Mode,
  /** Of the mode `logits`; where the layers are mixed there is nothing left for it to do. */
  rule: z.enum(['geometric', 'arithmetic']),
  floor: z.number().min(0).max(1),
  ceiling: z.number().min(0).max(1),
  opening: z.strictObject({ tokens: z.int().min(0), floor: z.number().min(0).max(1) }),
  /** Nats for the whole answer; null: no budget. */
  budget: z.number().min(0).nullable(),
});
export type Line = z.infer<typeof Line>;

/** The line that asks for nothing: what evaluation and tests start from. Never what stands in for a line that is missing. */
export const OPEN_LINE: Line = {
  action: 'mix',
  mode: 'logits',
  rule: 'geometric',
  floor: 0,
  ceiling: 1,
  opening: { tokens: 0, floor: 0 },
  budget: null,
};

export const Directive = z.strictObject({
  request: z.string().min(1),
  tenant: z.string().min(1),
  policy: z.string().min(1),
  /** SHA-256 of the request's body, lower-case hex. */
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  line: Line,
});
export type Directive = z.infer<typeof Directive>;

export async function sha256Hex(bytes: Uint8Array | string): Promise<string> {
  const input = typeof bytes === 'string' ? new TextEncoder().encode(bytes) : bytes;
  // The cast drops SharedArrayBuffer from the type; digest() only reads.
  const hash = await crypto.subtle.digest('SHA-256', input as Uint8Array<ArrayBuffer>);
  return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

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
