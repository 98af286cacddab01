/**
 * The directive: what the edge tells a backend for one request. It is a compact JWS (HS256) in the
 * header `x-plimsoll-directive`, and it is valid only for seconds. It is bound to the request's
 * bytes by their SHA-256, so a floor can be neither replayed for another prompt nor left out.
 */
import { errors as joseErrors, jwtVerify, SignJWT } from 'jose';
import * as z from 'zod';
import { PlimsollError } from '#shared/api/errors.ts';
import { Line } from '#shared/line/line.ts';
import { ResumeState } from './resume.ts';
import { SecondLook } from './second-look.ts';
import { sha256Hex } from './sha256.ts';
import { Sha256 } from './sha256-schema.ts';

export const DIRECTIVE_HEADER = 'x-plimsoll-directive';
/**
 * Long enough for a slow queue between edge and backend. Short enough that a leaked directive is
 * soon worthless.
 */
export const DIRECTIVE_TTL_SECONDS = 30;

const ISSUER = 'plimsoll-edge';
const AUDIENCE = 'plimsoll-backend';

export const Directive = z.strictObject({
  /**
   * The id of this one directive. A backend takes each only once. A retry is signed with a new id.
   */
  id: z.uuid(),
  request: z.string().min(1),
  tenant: z.string().min(1),
  /** The id of the API key. An answer's draw key depends on it. */
  key: z.string().min(1),
  /** The version of the effective policy, with all levels joined. */
  policy: z.string().min(1),
  /** The version of the classifier that read the prompt. */
  classifier: z.string().min(1),
  /** SHA-256 of the request's body, without the ids of a resumed answer. */
  digest: Sha256,
  line: Line,
  /**
   * The backend looks at the prompt before the first token, or refuses if it cannot. null: only the
   * edge looks at it.
   */
  second_look: SecondLook.nullable(),
  /** null: the answer starts here. */
  resume: ResumeState.nullable(),
});
export type Directive = z.infer<typeof Directive>;

/** The shared secret as a key. Throws if it is too short (under 32 bytes). */
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
 * As `verifyDirective`, under whichever of the keys has signed. While a deployment changes its
 * secret, edges sign with the old one and the new one. `key` is the one that fits.
 */
export async function verifyDirectiveUnderAny(
  token: string | undefined,
  body: Uint8Array,
  keys: readonly [Uint8Array, ...Uint8Array[]],
): Promise<{ directive: Directive; key: Uint8Array }> {
  const [key, ...others] = keys;
  try {
    return { directive: await verifyDirective(token, body, key), key };
  } catch (thrown) {
    const [next, ...rest] = others;
    const isOthers =
      thrown instanceof PlimsollError && thrown.cause instanceof joseErrors.JWSSignatureVerificationFailed;
    if (next === undefined || !isOthers) throw thrown;
    return verifyDirectiveUnderAny(token, body, [next, ...rest]);
  }
}

/**
 * The directive of one request, or a PlimsollError. `directive_invalid`: missing, forged,
 * malformed, or not meant for this request. `directive_expired`: too old. There is no third outcome
 * and no default.
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
