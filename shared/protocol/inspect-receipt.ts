/**
 * Checks a receipt of either kind, with a verdict for each thing that can be wrong. It needs no
 * network and no secret: only the token and public keys, and for the digests what was asked and
 * answered.
 */
import { decodeJwt, decodeProtectedHeader, type JSONWebKeySet, errors as joseErrors } from 'jose';
import * as z from 'zod';
import { offeredTools } from '#shared/api/chat-tools.ts';
import { parseExactly } from '#shared/api/parse-exactly.ts';
import { ToolSyntax } from '#shared/tools/tool-syntax.ts';
import { askedIn } from './asked-of.ts';
import {
  type CachedReceipt,
  digestOfMessages,
  EDGE_RECEIPT_TYP,
  type EdgeReceipt,
  verifyEdgeReceipt,
} from './edge-receipt.ts';
import { type Asked, generateBody } from './generate-body.ts';
import { grammarDigest } from './grammar-digest.ts';
import { grammarOfChat } from './grammar-of-chat.ts';
import { crossedLine } from './line-held.ts';
import { RECEIPT_TYP, type Receipt, verifyReceipt } from './receipt.ts';
import { sha256Hex } from './sha256.ts';

type Check = {
  name: 'form' | 'signature' | 'content' | 'line' | 'prompt' | 'answer' | 'first';
  verdict: 'holds' | 'fails' | 'not checked';
  /** For people. */
  detail: string;
};

export type Inspection = {
  /** Nothing fails, and the signature holds. */
  genuine: boolean;
  /** `cached`: an answer that was made for another request. */
  kind: 'answer' | 'refusal' | 'cached' | null;
  /** ISO 8601; null if unknown. */
  signedAt: string | null;
  checks: Check[];
  /** null unless the signature holds. */
  receipt: Receipt | EdgeReceipt | null;
};

/** What the receipt is held against. */
export type Evidence = {
  /** The public keys, as of `GET /.well-known/jwks.json`. */
  jwks: JSONWebKeySet;
  /** The request's JSON as the client sent it, or the exact text that the digest is of. */
  prompt?: string | undefined;
  /** The answer's text, or the sentence of a refusal. */
  answer?: string | undefined;
  /** For an answer that was made for another request, the receipt that it got then. */
  first?: string | undefined;
};

export async function inspectReceipt(token: string, evidence: Evidence): Promise<Inspection> {
  const typ = typOf(token);
  if (typ === null) {
    const detail = `not a receipt: wanted a JWS of the type ${RECEIPT_TYP} or ${EDGE_RECEIPT_TYP}`;
    return inspection({ kind: null, token, receipt: null, checks: [{ name: 'form', verdict: 'fails', detail }] });
  }
  return typ === RECEIPT_TYP ? inspectAnswer(token, evidence) : inspectEdge(token, evidence);
}

async function inspectAnswer(token: string, { jwks, prompt, answer }: Evidence): Promise<Inspection> {
  const kind = 'answer';
  const { receipt, checks } = await verified(token, () => verifyReceipt(token, jwks));
  checks.unshift({ name: 'form', verdict: 'holds', detail: 'a receipt for an answer' });
  if (receipt === null) return inspection({ kind, token, receipt, checks });
  const by = receipt.mixed === undefined ? "a backend's" : "the edge's";
  checks[0] = { name: 'form', verdict: 'holds', detail: `${by} receipt for an answer` };
  checks.push(lineCheck(receipt), await promptCheck(receipt, prompt), await answerCheck(receipt, answer));
  return inspection({ kind, token, receipt, checks });
}

async function inspectEdge(token: string, { jwks, prompt, answer, first }: Evidence): Promise<Inspection> {
  const { receipt, checks } = await verified(token, () => verifyEdgeReceipt(token, jwks));
  if (receipt === null) {
    checks.unshift({ name: 'form', verdict: 'holds', detail: "a receipt of the edge's own" });
    return inspection({ kind: null, token, receipt, checks });
  }
  const { kind } = receipt;
  const detail =
    kind === 'refusal'
      ? "the edge's receipt for a refusal"
      : `the edge's receipt for an answer that was made for the request ${receipt.first.request}`;
  checks.unshift({ name: 'form', verdict: 'holds', detail });
  const fits = async (text: string, digest: string) => (await sha256Hex(text)) === digest;
  checks.push(
    await compared('prompt', prompt, async (text) => {
      const { messages_digest: digest } = receipt;
      const isOf = async (asked: Asked) =>
        (await digestOfMessages(asked.messages, offeredTools(asked))) === digest && (await hasGrammar(asked, receipt));
      return (await anyOf(askedBy(text), isOf)) || (await fits(text, digest));
    }),
  );
  if (kind === 'refusal') {
    checks.push(
      await compared('answer', answer, (text) => anyOf(endings(text), (each) => fits(each, receipt.text_digest))),
    );
    return inspection({ kind, token, receipt, checks });
  }
  const of = first === undefined ? null : await inspectFirst(receipt, { first, jwks, answer });
  // A refusal by the second look has a sentence of the edge's for an answer.
  checks.push(await answerCheck({ finish_reason: null, ...of?.receipt, answer_digest: receipt.answer_digest }, answer));
  checks.push(
    ...(of?.checks ?? [{ name: 'first', verdict: 'not checked', detail: "the first request's receipt was not given" }]),
  );
  return inspection({ kind, token, receipt, checks });
}

/** In which its calls may have been held: no receipt says how its model writes them. */
const syntaxesOf = (asked: Asked): readonly (ToolSyntax | null)[] =>
  offeredTools(asked).length === 0 ? [null] : ToolSyntax.options;

/** A receipt that names no grammar may be one from before that field. */
async function hasGrammar(asked: Asked, receipt: EdgeReceipt): Promise<boolean> {
  if (receipt.kind !== 'refusal' || receipt.grammar === undefined) return true;
  return anyOf(syntaxesOf(asked), async (syntax) => {
    const found = grammarOfChat(asked, { syntax });
    return found !== null && (await grammarDigest(found.grammar)) === receipt.grammar;
  });
}

/**
 * Whether this is the receipt of the first request, and the line that it says was held. What was
 * asked, the edge's own receipt says.
 */
async function inspectFirst(
  { first: named, tenant, policy, answer_digest }: CachedReceipt,
  { first, ...evidence }: Evidence & { first: string },
): Promise<{ receipt: Receipt | null; checks: Check[] }> {
  const fails = (detail: string) => ({ receipt: null, checks: [{ name: 'first', verdict: 'fails', detail } as const] });
  if ((await sha256Hex(first)) !== named.receipt_digest) return fails('another receipt than the one that is named');
  const { genuine, receipt, checks } = await inspectReceipt(first, evidence);
  const failed = checks.filter(({ verdict }) => verdict === 'fails').map(({ name }) => name);
  if (!genuine) return fails(`the receipt of the first request is not genuine: ${failed.join(', ')}`);
  if (receipt === null || !('usage' in receipt)) return fails('it is no receipt for an answer');
  const isSame = receipt.tenant === tenant && receipt.policy === policy && receipt.answer_digest === answer_digest;
  if (!isSame) return fails('the receipt of the first request has another tenant, policy or answer');
  const detail = `the receipt of the request ${receipt.request} is genuine`;
  return { receipt, checks: [lineCheck(receipt), { name: 'first', verdict: 'holds', detail }] };
}

/** The type in the token's header; null if it is no receipt's. */
function typOf(token: string): typeof RECEIPT_TYP | typeof EDGE_RECEIPT_TYP | null {
  try {
    const { typ } = decodeProtectedHeader(token);
    return typ === RECEIPT_TYP || typ === EDGE_RECEIPT_TYP ? typ : null;
  } catch {
    return null;
  }
}

/** Tells a wrong signature from content that is not a receipt's. */
async function verified<T extends Receipt | EdgeReceipt>(
  token: string,
  verify: () => Promise<T>,
): Promise<{ receipt: T | null; checks: Check[] }> {
  const { kid } = decodeProtectedHeader(token);
  const signature = {
    name: 'signature',
    verdict: 'holds',
    detail: `by the key ${kid}, which is in the key set`,
  } as const;
  try {
    const receipt = await verify();
    const { request, tenant, key, policy } = receipt;
    const detail = `request ${request}, tenant ${tenant}, key ${key}, policy ${policy}`;
    return { receipt, checks: [signature, { name: 'content', verdict: 'holds', detail }] };
  } catch (error) {
    if (error instanceof z.ZodError || error instanceof joseErrors.JWTClaimValidationFailed) {
      const detail = error instanceof z.ZodError ? z.prettifyError(error).replaceAll(/\s+/g, ' ') : error.message;
      return { receipt: null, checks: [signature, { name: 'content', verdict: 'fails', detail }] };
    }
    const missing = error instanceof joseErrors.JWKSNoMatchingKey;
    const detail = missing ? `the key set has no key ${kid}` : `not signed by the key ${kid} of the key set`;
    return { receipt: null, checks: [{ name: 'signature', verdict: 'fails', detail }] };
  }
}

function lineCheck(receipt: Receipt): Check {
  const { line, weights, spent } = receipt;
  const crossed = crossedLine(receipt);
  const budget = line.budget === null ? 'no budget' : `a budget of ${line.budget}`;
  const account = `weights ${weights.min.toFixed(3)} to ${weights.max.toFixed(3)} over a floor of ${line.floor}, ${spent === null ? 'unknown' : spent.toFixed(3)} nats spent under ${budget}`;
  return crossed === null
    ? { name: 'line', verdict: 'holds', detail: account }
    : { name: 'line', verdict: 'fails', detail: `${crossed}: ${account}` };
}

/** Of a receipt that does not say which limit on tokens was in force. */
const ABOUT_THE_PROMPT =
  'another digest; if the policy allows fewer tokens than were asked for, put its number into max_tokens';

function promptCheck(receipt: Receipt, prompt: string | undefined): Promise<Check> {
  const fits = async (body: string) => (await sha256Hex(body)) === receipt.prompt_digest;
  const why = receipt.max_tokens === undefined ? ABOUT_THE_PROMPT : undefined;
  return compared('prompt', prompt, (text) => anyOf([text, ...bodiesOf(text, receipt)], fits), why);
}

/** Each body that the edge may have sent for this request, given what the receipt says. */
function bodiesOf(text: string, { sampling, seed, max_tokens, finish_reason, usage }: Receipt): string[] {
  if (sampling === null) return [];
  // The receipt names the limit that was in force, which may be the policy's. An older one does
  // not, but an answer that ended at a limit has as many tokens as the limit.
  const guessed = finish_reason === 'length' ? [null, usage.completion_tokens] : [null];
  const limits = max_tokens === undefined ? guessed : [max_tokens];
  return askedBy(text).flatMap((asked) =>
    limits.flatMap((maxTokensOfPolicy) =>
      (['none', 'tokens'] as const).flatMap((trace) => {
        const made = { maxTokensOfPolicy, trace, defaults: sampling, seed: () => seed };
        return syntaxesOf(asked).map((syntax) => JSON.stringify(generateBody(asked, { ...made, syntax })));
      }),
    ),
  );
}

async function answerCheck(
  receipt: { answer_digest: string; finish_reason: string | null },
  answer: string | undefined,
): Promise<Check> {
  const fits = async (text: string) => (await sha256Hex(text)) === receipt.answer_digest;
  if (receipt.finish_reason !== 'content_filter') {
    return compared('answer', answer, (text) => anyOf(endings(text), fits));
  }
  // The sentence that the client reads is the edge's.
  const verdict = (await fits('')) ? 'holds' : 'fails';
  return { name: 'answer', verdict, detail: "the second look has refused: the receipt is for no text of the model's" };
}

/** A file often ends with a line end that the answer did not have. */
const endings = (text: string) => (text.endsWith('\n') ? [text, text.replace(/\r?\n$/, '')] : [text]);

async function compared(
  name: 'prompt' | 'answer',
  text: string | undefined,
  fits: (text: string) => Promise<boolean>,
  why = 'another digest',
): Promise<Check> {
  if (text === undefined) return { name, verdict: 'not checked', detail: 'was not given' };
  return (await fits(text))
    ? { name, verdict: 'holds', detail: 'has the digest in the receipt' }
    : { name, verdict: 'fails', detail: why };
}

async function anyOf<T>(values: readonly T[], holds: (value: T) => Promise<boolean>): Promise<boolean> {
  for (const value of values) if (await holds(value)) return true;
  return false;
}

function askedBy(text: string): Asked[] {
  try {
    return askedIn(parseExactly(text));
  } catch {
    return [];
  }
}

function inspection({ token, ...found }: Omit<Inspection, 'genuine' | 'signedAt'> & { token: string }): Inspection {
  const genuine = found.receipt !== null && found.checks.every(({ verdict }) => verdict !== 'fails');
  return { genuine, signedAt: found.receipt === null ? null : signedAt(token), ...found };
}

function signedAt(token: string): string | null {
  const { iat } = decodeJwt(token);
  return iat === undefined ? null : new Date(iat * 1000).toISOString();
}
