/**
 * How an answer goes on at another backend. The directive says how far it is, with the MAC by which
 * the first backend vouched for that (frame-mac.ts). The ids that were drawn come in a second line
 * of the request's body, because they are too long for a header; the directive has their digest.
 * Everything else of the request stays as it was, so the draw key comes out the same.
 */
import { base64url, type CryptoKey } from 'jose';
import * as z from 'zod';
import { PlimsollError } from '#shared/api/errors.ts';
import { LookReport, WeightSummary } from '#shared/api/plimsoll-extension.ts';
import { AnswerPart } from './answer-part.ts';
import type { Directive } from './directive.ts';
import { type Account, type AnswerContext, contextText, MacBytes } from './frame-mac.ts';
import { IdBytes } from './ids-digest.ts';
import { Ran } from './ran.ts';
import { sha256Hex } from './sha256.ts';
import { Sha256 } from './sha256-schema.ts';

/** More parts than that are trouble that no further backend mends. They must fit into a header. */
export const MOST_PARTS = 32;

/** How far another backend's answer got: the last frame that the backend vouched for. */
export const ResumeState = z.strictObject({
  /** Which weights and which draw secret the answer depends on. No other can continue it. */
  bundle: z.string().min(1),
  draws: z.string().min(1),
  /** Who drew last, under which directive, and from which position on. */
  backend: z.string().min(1),
  directive: z.string().min(1),
  from: z.int().min(0),
  /** What others drew before. */
  parts: z.array(AnswerPart).max(MOST_PARTS),
  /** What the second look found. It is not taken again. */
  second_look: LookReport.nullable(),
  /** Tokens drawn so far, SHA-256 of their ids, and their account. */
  position: z.int().min(1),
  ids_digest: Sha256,
  spent: z.number().nullable(),
  weights: z.strictObject(WeightSummary.shape),
  ran: Ran,
  mac: z.string().regex(/^[\w-]{43}$/),
  /** Which of the request's answers goes on; only this one is drawn. Left out for the first. */
  choice: z.int().min(1).exactOptional(),
});
export type ResumeState = z.infer<typeof ResumeState>;

/** Computes and checks MACs with Web Crypto. Make it once from the bytes of the frame key. */
export function importFrameKey(frameKey: Uint8Array<ArrayBuffer>): Promise<CryptoKey> {
  return crypto.subtle.importKey('raw', frameKey, { name: 'HMAC', hash: 'SHA-256' }, false, ['verify']);
}

export async function macBytesOf(context: AnswerContext): Promise<MacBytes> {
  return new MacBytes(
    new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(contextText(context)))),
  );
}

/**
 * Whether the MAC is one for exactly this account, and these ids.
 *
 * @param context see `macBytesOf`. Web Crypto copies them, so they are free again at once.
 */
export async function isVouched(
  account: Omit<Account, 'ids_digest'>,
  { mac, ids, context, key }: { mac: string; ids: IdBytes; context: MacBytes; key: CryptoKey },
): Promise<boolean> {
  const digest = await crypto.subtle.digest('SHA-256', ids.bytes());
  const bytes = context.of(account, new Uint8Array(digest));
  // The cast drops SharedArrayBuffer from the type.
  return crypto.subtle.verify('HMAC', key, base64url.decode(mac) as Uint8Array<ArrayBuffer>, bytes);
}

/**
 * Checks the state that a directive asks to continue, as if the edge were a stranger: only what a
 * backend has vouched for, for exactly this request, is continued. Returns null if the answer
 * begins here. Throws a PlimsollError: `model_not_found` if this backend has other weights or
 * another draw secret, so that another one may be asked; `directive_invalid` if no backend has
 * vouched for this state of this request.
 *
 * @param ids from the body; null if it has none
 * @param key see `importFrameKey`
 */
export async function verifyResume(
  { resume, ...directive }: Directive,
  { ids, bundle, draws, key }: { ids: readonly number[] | null; bundle: string; draws: string; key: CryptoKey },
): Promise<{ state: ResumeState; ids: readonly number[] } | null> {
  if (resume === null && ids === null) return null;
  if (resume === null || ids === null) throw notVouched('either the directive or the body has no state to resume from');
  if (resume.bundle !== bundle || resume.draws !== draws) {
    const what = resume.bundle !== bundle ? 'weights' : 'draw secret';
    throw new PlimsollError('model_not_found', `This backend has another ${what} than the answer began with.`);
  }
  const { position, spent, weights, ran, second_look: secondLook, backend, directive: id, from, parts, mac } = resume;
  const bytes = new IdBytes(ids);
  if (ids.length !== position || (await sha256Hex(bytes.bytes())) !== resume.ids_digest) {
    throw notVouched('the ids are not those of the directive');
  }
  const about = { bundle, draws, backend, from, parts, choice: resume.choice ?? 0, secondLook };
  const context = await macBytesOf({ directive: { ...directive, id }, ...about });
  const account = { position, spent, weights, ran };
  if (!(await isVouched(account, { mac, ids: bytes, context, key }))) {
    throw notVouched('its MAC is for another state');
  }
  return { state: resume, ids };
}

function notVouched(what: string): PlimsollError {
  return new PlimsollError('directive_invalid', `No backend has vouched for this state of the answer: ${what}.`);
}

/** The parts of an answer that goes on from this state. */
export function partsBefore({ parts, backend, directive, from, position, spent }: ResumeState): AnswerPart[] {
  return [...parts, { backend, directive, from, to: position, spent }];
}

/** The body of a request that goes on after these ids. */
export function resumeBody(body: string, ids: readonly number[]): string {
  return `${body}\n${JSON.stringify(ids)}`;
}

const Ids = z.array(z.int().min(0).max(0xffffffff));
const NEW_LINE = 10;
const CLOSING_BRACKET = 93;

/**
 * Parts a body into the request and the ids after which it goes on; null if it begins. A request is
 * an object, so a body that ends with a bracket has ids. Throws a PlimsollError if they are not
 * ids.
 */
export function splitBody(body: Uint8Array<ArrayBuffer>): { request: Uint8Array<ArrayBuffer>; ids: number[] | null } {
  const at = body.lastIndexOf(NEW_LINE);
  if (at < 0 || body.at(-1) !== CLOSING_BRACKET) return { request: body, ids: null };
  try {
    const ids = Ids.parse(JSON.parse(new TextDecoder().decode(body.subarray(at + 1))));
    return { request: body.subarray(0, at), ids };
  } catch (cause) {
    throw new PlimsollError('invalid_request', 'The last line of the body is not a list of token ids.', { cause });
  }
}
