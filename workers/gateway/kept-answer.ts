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
import { EchoedPrompt, TokenLogprob } from '#shared/protocol/token-logprob.ts';
import type { AnswerEnd, AnswerEvents, TextDelta } from './read-answer.ts';

/** As it is written down outside of the isolate. */
const Written = z.strictObject({
  key: z.string(),
  keptAtMs: z.number(),
  systemFingerprint: z.string(),
  deltas: z.array(
    z.strictObject({
      text: z.string(),
      tokens: z.array(TokenTrace),
      logprobs: z.array(TokenLogprob).exactOptional(),
      choice: z.int().min(1).exactOptional(),
      echo: EchoedPrompt.exactOptional(),
    }),
  ),
  receiptToken: z.string(),
  /** Of the request's other answers, in order. */
  moreTokens: z.array(z.string()).exactOptional(),
});

export type KeptAnswer = z.infer<typeof Written> & { receipt: Receipt; moreReceipts?: Receipt[] };

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
  /** The piece of each answer that more may be joined to. */
  const open = new Map<number, TextDelta>();
  for (const { text, tokens, logprobs, choice = 0, echo } of deltas) {
    const last = open.get(choice);
    const told = tokensToo ? tokens : [];
    if (last === undefined || last.text.length >= PIECE_CHARS || echo !== undefined) {
      const likely = logprobs && { logprobs: [...logprobs] };
      const piece: TextDelta = {
        text,
        tokens: [...told],
        ...likely,
        ...(choice > 0 && { choice }),
        ...(echo && { echo }),
      };
      pieces.push(piece);
      if (echo === undefined) open.set(choice, piece);
      continue;
    }
    last.text += text;
    last.tokens.push(...told);
    if (logprobs !== undefined) last.logprobs = [...(last.logprobs ?? []), ...logprobs];
  }
  const { more = [], ...first } = end;
  return {
    ...{ ...rest, deltas: pieces, receiptToken: first.receiptToken, receipt: first.receipt },
    ...(more.length > 0 && {
      moreTokens: more.map(({ receiptToken }) => receiptToken),
      moreReceipts: more.map(({ receipt }) => receipt),
    }),
  };
}

/** The text for outside of the isolate. */
export function writeKept({ receipt: _, moreReceipts: _others, ...written }: KeptAnswer): string {
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
    if (written.key !== key) return null;
    const { moreTokens = [] } = written;
    const receipt = await verifyReceipt(written.receiptToken, jwks);
    const moreReceipts = await Promise.all(moreTokens.map((token) => verifyReceipt(token, jwks)));
    const receipts = [receipt, ...moreReceipts];
    for (const [choice, receipt] of receipts.entries()) {
      const own = deltasOf(written.deltas, choice);
      const isRight =
        isOfChoice(receipt, { choice, choices: receipts.length }) &&
        isAsAsked(receipt, asked) &&
        isWorthKeeping(receipt, own) &&
        receipt.answer_digest === (await sha256Hex(own.map((delta) => delta.text).join('')));
      if (!isRight) return null;
    }
    return { ...written, receipt, ...(moreReceipts.length > 0 && { moreReceipts }) };
  } catch {
    return null;
  }
}

/** What belongs to one of a request's answers. */
export function deltasOf(deltas: readonly TextDelta[], choice: number): TextDelta[] {
  return deltas.filter((delta) => (delta.choice ?? 0) === choice);
}

function isOfChoice(receipt: Receipt, { choice, choices }: Pick<Receipt, 'choice' | 'choices'>): boolean {
  return receipt.choice === choice && receipt.choices === choices;
}

function isAsAsked(receipt: Receipt, { probe, ...rest }: AskedOf): boolean {
  // The cast: a record's keys lose their type.
  const names = Object.keys(rest) as (keyof typeof rest)[];
  return names.every((name) => receipt[name] === rest[name]) && (receipt.second_look?.version ?? null) === probe;
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

export async function* replay(kept: KeptAnswer): AnswerEvents {
  const { deltas, receiptToken, receipt, moreTokens = [], moreReceipts = [] } = kept;
  yield* deltas;
  const more = moreReceipts.map((receipt, i) => ({ receiptToken: moreTokens[i] ?? '', receipt }));
  return { receiptToken, receipt, ...(more.length > 0 && { more }) };
}
