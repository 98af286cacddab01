/**
 * A session of the console, as its cookie holds it: whose key signed in, and until when. The key
 * itself is not in it, only its digest, and a digest opens nothing. The whole is encrypted and
 * authenticated (AES-256-GCM), so whoever has the cookie can neither read nor change it.
 *
 * The key of the encryption follows from two settings. A backend knows the directive secret and not
 * the digest of the operator's key, so no backend can make a session. Changing either of the two
 * ends all sessions.
 */
import { base64url } from 'jose';
import * as z from 'zod';
import { derivedKey } from '#shared/protocol/derived-key.ts';
import type { Config } from './config.ts';

const Session = z.strictObject({
  /** The same through all renewals. */
  id: z.string(),
  /** The digest of the key that signed in, in lower-case hex. */
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  /** Whose key it was then. null: the operator's. */
  tenant: z.string().nullable(),
  /** Unix milliseconds. */
  beganAtMs: z.int(),
  untilMs: z.int(),
});
export type Session = z.infer<typeof Session>;

/** How long a session lasts unless it is renewed. */
export const SESSION_MS = 60 * 60 * 1000;
/** How long it lasts at most, however often it is renewed. */
export const LONGEST_SESSION_MS = 12 * SESSION_MS;

const IV_BYTES = 12;
/** So that nothing else that is encrypted under this key passes for a session. */
const ABOUT = new TextEncoder().encode('plimsoll console session 1');

type SessionSecrets = Pick<Config, 'directiveKey' | 'operatorKeySha256'>;

export async function sealSession(session: Session, secrets: SessionSecrets): Promise<string> {
  const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES));
  const text = new TextEncoder().encode(JSON.stringify(session));
  const sealed = await crypto.subtle.encrypt(
    { name: 'AES-GCM', iv, additionalData: ABOUT },
    await sessionKey(secrets),
    text,
  );
  const token = new Uint8Array(IV_BYTES + sealed.byteLength);
  token.set(iv);
  token.set(new Uint8Array(sealed), IV_BYTES);
  return base64url.encode(token);
}

/** null: we have not made it, or it is over. */
export async function openSession(
  token: string,
  secrets: SessionSecrets,
  { now = Date.now() }: { now?: number } = {},
): Promise<Session | null> {
  const session = Session.safeParse(await decrypt(token, secrets).catch(() => null));
  return session.success && now < session.data.untilMs ? session.data : null;
}

async function decrypt(token: string, secrets: SessionSecrets): Promise<unknown> {
  // The cast drops SharedArrayBuffer from the type.
  const bytes = base64url.decode(token) as Uint8Array<ArrayBuffer>;
  const text = await crypto.subtle.decrypt(
    { name: 'AES-GCM', iv: bytes.subarray(0, IV_BYTES), additionalData: ABOUT },
    await sessionKey(secrets),
    bytes.subarray(IV_BYTES),
  );
  return JSON.parse(new TextDecoder().decode(text));
}

async function sessionKey({ directiveKey, operatorKeySha256 }: SessionSecrets) {
  const raw = await derivedKey(`plimsoll console session ${operatorKeySha256}`, directiveKey);
  // The cast: as above.
  return crypto.subtle.importKey('raw', raw as Uint8Array<ArrayBuffer>, 'AES-GCM', false, ['encrypt', 'decrypt']);
}
