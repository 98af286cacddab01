/**
 * The key of an answer's random numbers, which nobody outside can choose or foresee:
 *
 *     key = HMAC-SHA-256(draw secret, everything that shapes the answer)
 *
 * The budget's promise is about what is drawn by chance: q(H) <= e^K * p_s~(H). With numbers from the client's seed alone, a
 * client that knows the distributions searches at home for a seed that draws a rare answer. So the numbers hang on a secret; and
 * they hang on every input that shapes q, because a client that could change one of them under the same numbers would learn from
 * a draw where a number lies, and search that input instead. What is left is to try online, once a request: docs/threat-model.md
 * has the bound.
 *
 * The same request still draws the same answer, on any backend that has the same secret. A retry, and an answer that is taken up
 * by another backend, go on with the same numbers.
 */
import type { CryptoKey } from 'jose';
import type { DrawKey } from '#shared/gate/index.ts';
import { canonicalJson } from './canonical-json.ts';
import type { Directive } from './directive.ts';
import type { GenerateRequest } from './generate.ts';

/** Changes when a key comes to mean other numbers, so that old and new never mix. */
const LABEL = 'plimsoll-draw/1';
const LEAST_SECRET_BYTES = 32;

/** A deployment has one, and every backend of it the same. */
export type DrawSecret = {
  readonly key: CryptoKey;
  /** Eight hex digits by which two backends can be seen to have the same secret. It says nothing of the secret. */
  readonly id: string;
};

/** Throws on a secret that is too short to be one. */
export async function importDrawSecret(secret: string): Promise<DrawSecret> {
  const bytes = new TextEncoder().encode(secret);
  if (bytes.byteLength < LEAST_SECRET_BYTES) {
    throw new Error(`the draw secret has ${bytes.byteLength} bytes; it needs at least ${LEAST_SECRET_BYTES}`);
  }
  const key = await crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  const [first] = await hmacWords(key, `${LABEL} id`);
  return { key, id: first.toString(16).padStart(8, '0') };
}

export type DrawParts = {
  directive: Pick<Directive, 'tenant' | 'key' | 'line' | 'second_look'>;
  /** Which weights answer: SHA-256 of the bundle. */
  bundle: string;
  promptIds: readonly number[];
  request: GenerateRequest;
  /** Which of a request's answers, from 0. */
  choice: number;
};

/**
 * Of the request everything is bound but what shapes no token: the model's name (its bundle is), the messages (their token ids
 * are), and where the answer ends. So a sampling parameter that is added later is bound without anybody's remembering it.
 */
export async function deriveDrawKey(secret: DrawSecret, parts: DrawParts): Promise<DrawKey> {
  const { model: _model, messages: _messages, max_tokens: _most, stop: _stop, ...shaping } = parts.request;
  const { tenant, key, line, second_look } = parts.directive;
  const { bundle, choice, promptIds } = parts;
  return hmacWords(
    secret.key,
    canonicalJson([LABEL, { tenant, key, line, second_look, bundle, choice, request: shaping }, promptIds]),
  );
}

/** The first 128 bits of an HMAC, as four unsigned words. */
async function hmacWords(key: CryptoKey, text: string): Promise<DrawKey> {
  const mac = new DataView(await crypto.subtle.sign('HMAC', key, new TextEncoder().encode(text)));
  return [mac.getUint32(0), mac.getUint32(4), mac.getUint32(8), mac.getUint32(12)];
}
