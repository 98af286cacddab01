/**
 * The key of an answer's random numbers. Nobody outside can choose or foresee it:
 *
 *     key = HMAC-SHA-256(draw secret, everything that shapes the answer)
 *
 * The budget promises something about chance: q(H) <= e^K * p_s~(H). If the numbers came from the
 * client's seed alone, a client that knows the distributions could search offline for a seed that
 * draws a rare answer. So the numbers depend on a secret. They also depend on every input that
 * shapes q. Otherwise a client could keep the same numbers while it changes one input, learn from
 * the draws where a number lies, and then search that input instead. All that remains is to try
 * online, one request at a time. docs/threat-model.md has the bound.
 *
 * The same request still draws the same answer on any backend that has the same secret. Retries use
 * the same numbers, and so does another backend that continues an answer.
 */
import type { CryptoKey } from 'jose';
import type { DrawKey } from '#shared/gate/index.ts';
import type { Line } from '#shared/line/line.ts';
import { canonicalJson } from './canonical-json.ts';
import type { Directive } from './directive.ts';
import { GenerateRequest } from './generate.ts';

/** Change this when the same key would give other numbers, so that old and new never mix. */
const LABEL = 'plimsoll-draw/1';
const LEAST_SECRET_BYTES = 32;

/** The draw secret. A deployment has one, shared by all its backends. */
export type DrawSecret = {
  readonly key: CryptoKey;
  /**
   * Eight hex digits that show whether two backends have the same secret. They say nothing about
   * the secret.
   */
  readonly id: string;
};

/** Throws if the secret is too short. */
export async function importDrawSecret(secret: string): Promise<DrawSecret> {
  const bytes = new TextEncoder().encode(secret);
  if (bytes.byteLength < LEAST_SECRET_BYTES) {
    throw new Error(`the draw secret has ${bytes.byteLength} bytes; it needs at least ${LEAST_SECRET_BYTES}`);
  }
  const key = await crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  const [first] = await hmacWords(key, Uint8Array.from(new TextEncoder().encode(`${LABEL} id`)));
  return { key, id: first.toString(16).padStart(8, '0') };
}

/** A deployment's draw secrets, newest first. New answers begin under the first. */
export type DrawSecrets = readonly [DrawSecret, ...DrawSecret[]];

/**
 * The secret of an answer that goes on, by the id under which it began; null if it is not known
 * here. Under another secret the rest of the answer would have other numbers.
 */
export function drawSecretById(secrets: DrawSecrets, id: string): DrawSecret | null {
  return secrets.find((secret) => secret.id === id) ?? null;
}

export type DrawParts = {
  directive: Pick<Directive, 'tenant' | 'key' | 'line' | 'second_look'>;
  /** Which weights answer: SHA-256 of the bundle. */
  bundle: string;
  promptIds: readonly number[];
  request: GenerateRequest;
  /** k if the edge draws from rows of the k likeliest tokens. Whole rows if left out or null. */
  rows?: number | null;
};

/**
 * What the key leaves out: the model's name (the bundle is bound instead), the messages (their
 * token ids are bound instead), where the answer ends, how many there are (the choice is bound
 * instead), and what is reported about them. Everything else is bound, a parameter that is added
 * later too.
 */
const SHAPES_NO_TOKEN = [
  'model',
  'messages',
  'max_tokens',
  'stop',
  'ignore_eos',
  'n',
  'logprobs',
  'top_logprobs',
  'expert_logprobs',
  'echo',
] as const satisfies (keyof GenerateRequest)[];

/**
 * The key of each of a request's answers, by its number from 0. It is bound to everything in the
 * request that shapes its tokens, and to its number. A parameter with its neutral value is bound by
 * its absence, so the draws of an old request outlive new parameters.
 *
 * What the answers share is written down once: a mask may be as long as a vocabulary.
 */
export function drawKeysOf(secret: DrawSecret, parts: DrawParts): (choice: number) => Promise<DrawKey> {
  const shaping = Object.fromEntries(Object.entries(parts.request).filter(isBound));
  const { tenant, key, second_look } = parts.directive;
  const { bundle, promptIds, rows = null } = parts;
  const line = drawnLine(parts.directive.line, rows);
  const truncated = rows === null ? {} : { rows };
  const bound = { tenant, key, line, second_look, bundle, choice: 0, request: shaping, ...truncated };
  const text = canonicalJson([LABEL, bound, promptIds]);
  // Canonical JSON has its keys in order, so only the bundle comes before the choice.
  const before = `[${canonicalJson(LABEL)},{"bundle":${canonicalJson(bundle)},"choice":`;
  if (!text.startsWith(`${before}0,`)) throw new Error('found another order of keys in canonical JSON');
  const rest = new TextEncoder().encode(text.slice(before.length + 1));
  return (choice) => hmacWords(secret.key, joined(new TextEncoder().encode(`${before}${choice}`), rest));
}

/**
 * Where whole rows are mixed shapes no token: the edge draws what a backend would. With truncated
 * rows the distributions are others, and so must be the numbers.
 */
function drawnLine(line: Line, rows: number | null): Line {
  return line.mode === 'edge' && rows === null ? { ...line, mode: 'logits' } : line;
}

function joined(start: Uint8Array, rest: Uint8Array): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(start.length + rest.length);
  whole.set(start);
  whole.set(rest, start.length);
  return whole;
}

function isBound([name, value]: [string, unknown]): boolean {
  if (SHAPES_NO_TOKEN.some((free) => free === name)) return false;
  return !NEUTRAL.has(name) || canonicalJson(value) !== NEUTRAL.get(name);
}

/** The neutral value of each parameter that has one, as canonical JSON. */
const NEUTRAL = new Map(
  Object.entries(GenerateRequest.shape).flatMap(([name, schema]) => {
    const left = schema.safeParse(undefined);
    return left.success ? [[name, canonicalJson(left.data)]] : [];
  }),
);

/** The first 128 bits of an HMAC, as four unsigned words. */
async function hmacWords(key: CryptoKey, bytes: Uint8Array<ArrayBuffer>): Promise<DrawKey> {
  const mac = new DataView(await crypto.subtle.sign('HMAC', key, bytes));
  return [mac.getUint32(0), mac.getUint32(4), mac.getUint32(8), mac.getUint32(12)];
}
