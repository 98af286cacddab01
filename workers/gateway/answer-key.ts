/**
 * Which requests always get the same answer, and what that answer depends on. Its key is a digest
 * of all of it, so two requests with one key may share one answer.
 *
 * An answer is fixed at temperature 0, which draws nothing, and with a seed: the draws follow from
 * the seed and the rest of the request.
 */
import { canonicalJson } from '#shared/protocol/canonical-json.ts';
import type { Directive } from '#shared/protocol/directive.ts';
import type { GenerateBody, Seed } from '#shared/protocol/generate.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';

/** Change this when the same key would stand for another answer. */
const LABEL = 'plimsoll-answer/1';

type AnswerParts = {
  /** The tenant, the API key, the policy and the line. */
  directive: Pick<Directive, 'tenant' | 'key' | 'policy' | 'classifier' | 'line' | 'second_look'>;
  request: GenerateBody;
  /** The seed that the client has fixed; null: it leaves the choice to the edge. */
  seed: Seed | null;
  /** Which weights answer. */
  bundle: string;
  /** The id of the secret behind the draws. */
  draws: string;
  /** The version of the probe for the second look; null if there is none. */
  probe: string | null;
};

export const drawsNothing = ({ temperature }: Pick<GenerateBody, 'temperature'>): boolean => temperature === 0;

/**
 * The tenant and the API key are in every key. So nobody learns from a fast answer what others have
 * asked, not even the holder of another key of the same tenant.
 *
 * At temperature 0 a seed and the draw secret change nothing in the answer. Yet a seed that the
 * client names is part of the key, because the receipt names it.
 */
export async function answerKey({ directive, request, seed, bundle, draws, probe }: AnswerParts): Promise<string> {
  const { tenant, key, policy, classifier, line, second_look } = directive;
  const bound = {
    ...{ tenant, key, policy, classifier, line, second_look, bundle, probe },
    draws: drawsNothing(request) ? null : draws,
    // The edge fills in a seed where the client names none, another one each time.
    request: { ...request, seed },
  };
  return sha256Hex(canonicalJson([LABEL, bound]));
}
