/**
 * An answer that may be given again: what is kept of it, whether it is worth keeping, and how it
 * becomes events again.
 */
import type { JSONWebKeySet } from 'jose';
import * as z from 'zod';
import { TokenTrace } from '#shared/api/plimsoll-extension.ts';
import { natsLeft, spendingBound } from '#shared/gate/add-spending.ts';
import { effectiveFloor } from '#shared/gate/effective-weight.ts';
import type { Line } from '#shared/line/line.ts';
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

/** Who asks, and what an answer has to be made with. The receipt of a kept answer has to say it. */
export type AskedOf = Pick<Receipt, 'tenant' | 'key' | 'policy' | 'classifier' | 'bundle'> & {
  /** The version of the probe that looks; null if none does. */
  probe: string | null;
};

/**
 * Reads what `writeKept` wrote, and believes none of it: a backend must have signed exactly this
 * text for this tenant and key, under this policy, with these weights and this probe. null if
 * anything is wrong with it.
 *
 * @param jwks the backends' keys of today, so a key that was withdrawn takes its answers along
 */
export async function readKept(
  text: string,
  { key, asked, jwks }: { key: string; asked: AskedOf; jwks: JSONWebKeySet },
): Promise<KeptAnswer | null> {
  try {
    const written = Written.parse(JSON.parse(text));
    const receipt = await verifyReceipt(written.receiptToken, jwks);
    const answer = written.deltas.map((delta) => delta.text).join('');
    const { probe, ...rest } = asked;
    const names = Object.keys(rest) as (keyof typeof rest)[];
    const isRight =
      written.key === key &&
      names.every((name) => receipt[name] === rest[name]) &&
      (receipt.second_look?.version ?? null) === probe &&
      isWorthKeeping(receipt, written.deltas) &&
      receipt.answer_digest === (await sha256Hex(answer));
    return isRight ? { ...written, receipt } : null;
  } catch {
    return null;
  }
}

/** Nats. Spending is a sum of many small floats. */
const TOLERANCE = 1e-6;

/**
 * Whether a second request should get the same. An answer that a fault has shaped is right for the
 * one who got it, and another try may be better: the helpfulness expert stopped, its rows could not
 * be used, or a look at the prompt found something certain because it could not look. A refusal by
 * the second look is not kept either: to find it again costs no token.
 *
 * @param deltas the answer. The gate's numbers of its tokens, where they are there, show from where
 *   the gate was closed though the line left room
 */
export function isWorthKeeping(receipt: Receipt, deltas: readonly TextDelta[]): boolean {
  const { finish_reason, line, ran, spent, usage, second_look } = receipt;
  if (finish_reason !== 'stop' && finish_reason !== 'length') return false;
  // What a probe cannot tell counts as certain.
  if (second_look?.categories.some(({ probability }) => probability === 1) === true) return false;
  if (isClosedByFault(deltas, line)) return false;
  // The safety expert answers alone where the line says so, and from where the budget is spent.
  if (line.action === 'safety_only' || line.floor >= 1) return true;
  if (line.budget !== null && (spent ?? 0) >= line.budget - TOLERANCE) return true;
  return (ran.layers ?? ran.helpfulness ?? 0) === usage.completion_tokens;
}

/**
 * Whether the safety expert alone drew a token that the line would have mixed. A router that
 * proposes exactly 1 looks the same, and then a good answer is not kept.
 */
function isClosedByFault(deltas: readonly TextDelta[], line: Line): boolean {
  let before: number | null = 0;
  for (const [position, { weight, spent }] of deltas.flatMap(({ tokens }) => tokens).entries()) {
    const left = before === null ? null : natsLeft(spendingBound(line, { position }), { spent: before });
    const hasRoom = effectiveFloor(line, { position }) < 1 && (left === null || left > TOLERANCE);
    if (weight >= 1 && hasRoom) return true;
    before = spent;
  }
  return false;
}

export async function* replay({ deltas, receiptToken, receipt }: KeptAnswer): AnswerEvents {
  yield* deltas;
  return { receiptToken, receipt };
}
