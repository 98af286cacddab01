/** What a scripted backend's receipt says, whatever it has written and however it behaves. */
import { withPlain } from '#shared/api/sampling.ts';
import type { AnswerPart } from '#shared/protocol/answer-part.ts';
import type { Directive } from '#shared/protocol/directive.ts';
import type { GenerateRequest } from '#shared/protocol/generate.ts';
import { grammarDigest } from '#shared/protocol/grammar-digest.ts';
import type { Receipt } from '#shared/protocol/receipt.ts';
import { digestOfSignedLine } from '#shared/protocol/signed-line.ts';

export async function scriptedReceipt({
  directive,
  asked,
  before,
  own,
  choice,
  ...of
}: Pick<Receipt, 'model' | 'bundle' | 'draws' | 'line' | 'second_look' | 'choice'> & {
  directive: Directive;
  asked: GenerateRequest;
  /** What others wrote before. */
  before: readonly AnswerPart[];
  own: Omit<AnswerPart, 'directive'>;
}) {
  const { request, id, tenant, key, policy, classifier, digest } = directive;
  return {
    ...{ request, directive: id, tenant, key, policy, classifier, backend: own.backend, ...of },
    experts: { safety: { kind: 'adapter' as const }, helpfulness: { kind: 'adapter' as const } },
    parts: before.length === 0 ? [] : [...before, { directive: id, ...own }],
    signed_line: await digestOfSignedLine(directive),
    ...{ choice, choices: asked.n, top_k: null, seed: asked.seed, max_tokens: asked.max_tokens },
    sampling: withPlain(asked),
    ...(asked.grammar && { grammar: await grammarDigest(asked.grammar) }),
    prompt_digest: digest,
  };
}
