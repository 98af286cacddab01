/**
 * What a backend vouches for while it answers. A backend that is killed signs no receipt, so its
 * token frames carry a MAC over how far the answer is: which request it answers, under which line,
 * and the account after that token. Edge and backends share the key, so the edge can check a frame
 * before it passes the token on, and another backend can check what it is asked to continue.
 *
 *     mac = HMAC-SHA-256(frame key, SHA-256(what stays the same) | the account after this token)
 *
 * The frame key is derived from the directive secret under a label of its own, so that neither kind
 * of message can be taken for the other.
 */
import * as z from 'zod';
import { LookReport, type WeightSummary } from '#shared/api/plimsoll-extension.ts';
import { SPENT_UNBOUNDED } from '#shared/gate/index.ts';
import type { Line } from '#shared/line/line.ts';
import type { AnswerPart } from './answer-part.ts';
import { canonicalJson } from './canonical-json.ts';
import type { Directive } from './directive.ts';
import { Ran } from './ran.ts';
import { lineAfterLook, type SecondLook } from './second-look.ts';

/** Change this when the bytes below change, so that old and new never mix. */
const LABEL = 'plimsoll-frame/1';

/** The end of a token frame, where the backend vouches for the answer so far. */
export const Mark = z.strictObject({
  /** HMAC-SHA-256, base64url. */
  mac: z.string().regex(/^[\w-]{43}$/),
  /** For how many of the answer's tokens each source gave a prediction. */
  ran: Ran,
  /** What the second look found. Only on an answer's first token. */
  second_look: LookReport.optional(),
});
export type Mark = z.infer<typeof Mark>;

/** Where an answer stands after a token. */
export type Account = {
  /** How many tokens it has, and SHA-256 over their ids (ids-digest.ts), lower-case hex. */
  position: number;
  ids_digest: string;
  /** Nats; null if unbounded. */
  spent: number | null;
  weights: WeightSummary;
  ran: Ran;
};

/** What stays the same for all frames that one backend sends of one answer. */
export type AnswerContext = {
  /** As it was signed for the request. The id is the attempt's own. */
  directive: Omit<Directive, 'resume'>;
  /** Which weights and which draw secret the answer depends on. */
  bundle: string;
  draws: string;
  /** Who draws, and from which position on. */
  backend: string;
  from: number;
  /** What other backends drew before. */
  parts: readonly AnswerPart[];
  /** Which of the request's answers this is, from 0. */
  choice: number;
  secondLook: LookReport | null;
};

/** The frame key, 32 bytes. */
export async function deriveFrameKey(directiveKey: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const secret = await crypto.subtle.importKey('raw', Uint8Array.from(directiveKey), 'HKDF', false, ['deriveBits']);
  const info = new TextEncoder().encode(`${LABEL} key`);
  const bits = await crypto.subtle.deriveBits(
    { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(), info },
    secret,
    256,
  );
  return new Uint8Array(bits);
}

/** The line that the answer holds: the directive's, as the second look has tightened it. */
function heldLine(
  { line, second_look }: { line: Line; second_look: SecondLook | null },
  report: Pick<LookReport, 'categories'> | null,
): Line {
  return second_look === null || report === null ? line : lineAfterLook(line, second_look, report.categories).line;
}

/** The text whose digest goes into each MAC. */
export function contextText({ directive, secondLook, ...rest }: AnswerContext): string {
  const held = heldLine(directive, secondLook);
  return canonicalJson([LABEL, { directive, secondLook, held, ...rest }]);
}

const ACCOUNT_BYTES = 4 + 32 + 4 * 8 + 3 * 4;
/** Stands for a source that gave no prediction. */
const NEVER = 0xffffffff;

/**
 * The bytes that the MACs of one backend's frames are over. Every token needs one, and only the
 * account in them changes, so they are kept.
 *
 * @param context SHA-256 of `contextText`
 */
export class MacBytes {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  readonly #at: number;

  constructor(context: Uint8Array) {
    this.#at = context.length;
    this.#bytes = new Uint8Array(context.length + ACCOUNT_BYTES);
    this.#bytes.set(context);
    this.#view = new DataView(this.#bytes.buffer, context.length);
  }

  /**
   * The bytes for this account. Valid until the next call.
   *
   * @param idsDigest the account's, as bytes
   */
  of({ position, spent, weights, ran }: Omit<Account, 'ids_digest'>, idsDigest: Uint8Array): Uint8Array<ArrayBuffer> {
    const view = this.#view;
    view.setUint32(0, position);
    // JSON knows one zero, so a negative one is written as it will be read.
    view.setFloat64(4, (spent ?? SPENT_UNBOUNDED) + 0);
    view.setFloat64(12, weights.min + 0);
    view.setFloat64(20, weights.mean + 0);
    view.setFloat64(28, weights.max + 0);
    view.setUint32(36, ran.safety ?? NEVER);
    view.setUint32(40, ran.helpfulness ?? NEVER);
    view.setUint32(44, ran.layers ?? NEVER);
    this.#bytes.set(idsDigest, this.#at + 48);
    return this.#bytes;
  }
}
