/**
 * An answer that may be given again: what is kept of it, whether it is worth keeping, and how it
 * becomes events again.
 */
import type { JSONWebKeySet } from 'jose';
import * as z from 'zod';
import { TokenTrace } from '#shared/api/plimsoll-extension.ts';
import { type Receipt, verifyReceipt } from '#shared/protocol/receipt.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import type { AnswerEnd, AnswerEvents, TextDelta } from './read-answer.ts';

/** As it is written down outside of the isolate. */
const Written = z.strictObject({
  key: z.string(),
  keptAtMs: z.number(),
  systemFingerprint: z.string(),
  deltas: z.array(z.strictObject({ text: z.string(), tokens: z.array(TokenTrace) })),
  receiptToken: z.string(),
});

export type KeptAnswer = z.infer<typeof Written> & { receipt: Receipt };

/** Each piece of a stream costs far more than its letters, so pieces are joined up to this size. */
const PIECE_CHARS = 64;

export function toKept(
  { deltas, end }: { deltas: readonly TextDelta[]; end: AnswerEnd },
  about: Pick<KeptAnswer, 'key' | 'keptAtMs' | 'systemFingerprint'> & {
    /** Whether whoever asks again is told about each token. */
    tokensToo: boolean;
  },
): KeptAnswer {
  const { tokensToo, ...rest } = about;
  const pieces: TextDelta[] = [];
  for (const { text, tokens } of deltas) {
    const last = pieces.at(-1);
    const told = tokensToo ? tokens : [];
    if (last === undefined || last.text.length >= PIECE_CHARS) pieces.push({ text, tokens: [...told] });
    else {
      last.text += text;
      last.tokens.push(...told);
    }
  }
  return { ...rest, deltas: pieces, receiptToken: end.receiptToken, receipt: end.receipt };
}

/** The text for outside of the isolate. */
export function writeKept({ receipt: _, ...written }: KeptAnswer): string {
  return JSON.stringify(written satisfies z.infer<typeof Written>);
}

/**
 * Reads what `writeKept` wrote, and believes none of it: a backend must have signed exactly this
 * text for this tenant. null if anything is wrong with it.
 *
 * @param jwks the backends' keys of today, so a key that was withdrawn takes its answers along
 */
export async function readKept(
  text: string,
  { key, tenant, jwks }: { key: string; tenant: string; jwks: JSONWebKeySet },
): Promise<KeptAnswer | null> {
  try {
    const written = Written.parse(JSON.parse(text));
    const receipt = await verifyReceipt(written.receiptToken, jwks);
    const answer = written.deltas.map((delta) => delta.text).join('');
    const isRight =
      written.key === key && receipt.tenant === tenant && receipt.answer_digest === (await sha256Hex(answer));
    return isRight ? { ...written, receipt } : null;
  } catch {
    return null;
  }
}

/** Nats. Spending is a sum of many small floats. */
const TOLERANCE = 1e-6;

/**
 * Whether a second request should get the same. An answer that a fault has shaped is right for the
 * one who got it, and another try may be better: the helpfulness expert stopped, or a look at the
 * prompt found everything certain because it could not look. A refusal by the second look is not
 * kept either: to find it again costs no token.
 */
export function isWorthKeeping({ finish_reason, line, ran, spent, usage, second_look }: Receipt): boolean {
  if (finish_reason === 'content_filter') return false;
  if (second_look?.categories.every(({ probability }) => probability === 1) === true) return false;
  // The safety expert answers alone where the line says so, and from where the budget is spent.
  if (line.action === 'safety_only' || line.floor >= 1) return true;
  if (line.budget !== null && (spent ?? 0) >= line.budget - TOLERANCE) return true;
  return (ran.layers ?? ran.helpfulness ?? 0) === usage.completion_tokens;
}

export async function* replay({ deltas, receiptToken, receipt }: KeptAnswer): AnswerEvents {
  yield* deltas;
  return { receiptToken, receipt };
}
