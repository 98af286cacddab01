/**
 * An answer is complete once its receipt is checked: a known backend signed it, it is for this
 * request and this answer, and the line was held. The weights, budget and usage that we report to
 * the client come from the checked receipt.
 */
import type { JSONWebKeySet } from 'jose';
import { PlimsollError } from '#shared/api/errors.ts';
import type { LookReport } from '#shared/api/plimsoll-extension.ts';
import { type Sampling, withPlain } from '#shared/api/sampling.ts';
import { JUDGEMENTS } from '#shared/line/categories.ts';
import type { Line } from '#shared/line/line.ts';
import type { AnswerAccount } from '#shared/protocol/answer-account.ts';
import type { Directive } from '#shared/protocol/directive.ts';
import type { EndFrame, GenerateBody } from '#shared/protocol/generate.ts';
import { grammarDigest } from '#shared/protocol/grammar-digest.ts';
import { crossedLine } from '#shared/protocol/line-held.ts';
import { type Receipt, verifyReceipt } from '#shared/protocol/receipt.ts';
import { lineAfterLook } from '#shared/protocol/second-look.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { digestOfSignedLine } from '#shared/protocol/signed-line.ts';
import type { StartFrame } from './attempt.ts';

/** What the frames said. The receipt has to say the same. */
export type SeenAnswer = {
  text: string;
  account: Pick<AnswerAccount, 'position' | 'soFar' | 'secondLook' | 'parts'>;
  end: EndFrame;
};

export async function checkReceipt(
  { text, account, end }: SeenAnswer,
  {
    jwks,
    directive,
    start,
    asked,
    choice = 0,
    probe,
  }: {
    jwks: JSONWebKeySet;
    directive: Directive;
    start: StartFrame;
    asked: Pick<GenerateBody, 'seed' | 'max_tokens' | 'n' | 'grammar' | keyof Sampling>;
    /** Which of the request's answers it is for, from 0. */
    choice?: number;
    /** The version of the probe that must have looked; null if unknown. */
    probe: string | null;
  },
): Promise<Receipt> {
  const receipt = await verifyReceipt(end.receipt, jwks).catch((cause: unknown) => {
    throw invalid('its signature or form', cause);
  });
  const tokens = account.position;
  const prompt = start.prompt_tokens;
  const details = end.usage.prompt_tokens_details;
  if (details !== undefined && details.cached_tokens > prompt) throw invalid('usage');
  const guesses = end.usage.completion_tokens_details;
  if (guesses && guesses.accepted_prediction_tokens > tokens) throw invalid('usage');
  // Each token is checked against the line. Text beside them would be checked against nothing.
  if (tokens === 0 && text !== '') throw invalid('text');
  // A look is taken once. What was found held for every token.
  const { secondLook } = account;
  if (secondLook && JSON.stringify(secondLook) !== JSON.stringify(end.second_look)) throw invalid('second_look');
  const { line, refused, report } = lookedAt(directive, end, { probe });
  const expected = {
    request: directive.request,
    directive: directive.id,
    tenant: directive.tenant,
    key: directive.key,
    policy: directive.policy,
    classifier: directive.classifier,
    line,
    signed_line: await digestOfSignedLine(directive),
    second_look: report,
    model: start.model,
    bundle: start.bundle,
    backend: start.backend,
    parts: account.parts(),
    mixed: undefined,
    draws: start.draws,
    choice,
    choices: asked.n ?? 1,
    prompt_digest: directive.digest,
    answer_digest: await sha256Hex(text),
    seed: asked.seed,
    max_tokens: asked.max_tokens,
    sampling: withPlain(asked),
    grammar: asked.grammar ? await grammarDigest(asked.grammar) : undefined,
    finish_reason: end.finish_reason,
    spent: end.spent,
    ran: end.ran,
    weights: end.weights,
    // What was vouched for with the last token still holds at the end.
    ...account.soFar,
    usage: {
      prompt_tokens: prompt,
      completion_tokens: tokens,
      total_tokens: prompt + tokens,
      ...(details && { prompt_tokens_details: details }),
      ...(guesses && { completion_tokens_details: guesses }),
    },
  };
  for (const [field, value] of Object.entries(expected)) {
    // Both sides went through the same schema, which also fixes the order of keys.
    if (JSON.stringify(receipt[field as keyof typeof expected]) !== JSON.stringify(value)) throw invalid(field);
  }
  const crossed = crossedLine(receipt);
  if (crossed !== null) throw invalid(crossed);
  // Nothing else may end an answer so, and a refusal has no other end.
  if (refused !== (receipt.finish_reason === 'content_filter') || (refused && tokens > 0)) throw invalid('refusal');
  return receipt;
}

/**
 * The line that must have been held. If the directive asks for a second look, it follows from the
 * probabilities that the backend reports: the rules are the directive's own.
 */
function lookedAt(
  { line, second_look }: Directive,
  { second_look: report }: EndFrame,
  { probe }: { probe: string | null },
): { line: Line; refused: boolean; report: LookReport | null } {
  if (second_look === null) return { line, refused: false, report: null };
  if (probe !== null && report?.version !== probe) throw invalid('second_look');
  if (report === null || report.categories.some(({ name }, i) => name !== JUDGEMENTS[i])) throw invalid('second_look');
  const { line: after, refused, tightened, because } = lineAfterLook(line, second_look, report.categories);
  return { line: after, refused, report: { ...report, tightened, because } };
}

function invalid(what: string, cause?: unknown): PlimsollError {
  return new PlimsollError('receipt_invalid', 'The answer came without a valid receipt and is not to be trusted.', {
    detail: { what },
    cause,
  });
}
