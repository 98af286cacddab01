/**
 * An answer is complete when its receipt is checked: signed by a known backend, for this request and this answer, and
 * with a line that was held. What the client is told of weights, budget and usage comes from the checked receipt.
 */
import type { JSONWebKeySet } from 'jose';
import { PlimsollError } from '#shared/api/errors.ts';
import type { Directive } from '#shared/protocol/directive.ts';
import type { Seed } from '#shared/protocol/generate.ts';
import { type Receipt, verifyReceipt } from '#shared/protocol/receipt.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';

/** Weights and nats travel as sums of many small floats; a line that is missed by less was held. */
const TOLERANCE = 1e-6;

export async function checkReceipt(
  token: string,
  {
    jwks,
    directive,
    backend,
    seed,
    answer,
  }: { jwks: JSONWebKeySet; directive: Directive; backend: string; seed: Seed; answer: string },
): Promise<Receipt> {
  const receipt = await verifyReceipt(token, jwks).catch((cause: unknown) => {
    throw invalid('its signature or form', cause);
  });
  const expected = {
    request: directive.request,
    directive: directive.id,
    tenant: directive.tenant,
    key: directive.key,
    policy: directive.policy,
    classifier: directive.classifier,
    backend,
    prompt_digest: directive.digest,
    answer_digest: await sha256Hex(answer),
    seed,
  };
  for (const [field, value] of Object.entries(expected)) {
    if (receipt[field as keyof typeof expected] !== value) throw invalid(field);
  }
  // Both went through the one schema, which also settles the order of their keys.
  if (JSON.stringify(receipt.line) !== JSON.stringify(directive.line)) throw invalid('line');
  const { floor, budget } = directive.line;
  if (receipt.usage.completion_tokens > 0 && receipt.weights.min < floor - TOLERANCE) throw invalid('weights');
  if (budget !== null && (receipt.spent === null || receipt.spent > budget + TOLERANCE)) throw invalid('spent');
  return receipt;
}

function invalid(what: string, cause?: unknown): PlimsollError {
  return new PlimsollError('receipt_invalid', 'The answer came without a valid receipt and is not to be trusted.', {
    detail: { what },
    cause,
  });
}
