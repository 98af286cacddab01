/** The gate's numbers as they go to the client. */
import { toLogprob } from '#shared/answer/token-numbers.ts';
import type { Vocabulary } from '#shared/answer/vocabulary.ts';
import { LOG_ZERO, type TopToken as ReportedToken } from '#shared/gate/index.ts';
import type { TopToken } from '#shared/protocol/generate.ts';

/** The bytes of a token; null if it has no text. */
export function bytesOrNull(id: number, { bytesOf }: Pick<Vocabulary, 'bytesOf'>): number[] | null {
  const bytes = bytesOf(id);
  return bytes ? [...bytes] : null;
}

export function toTopTokens(
  top: readonly ReportedToken[] | undefined,
  vocabulary: Pick<Vocabulary, 'bytesOf'>,
): TopToken[] {
  return (top ?? []).map(({ token, logprob, logprobSafety = LOG_ZERO, logprobHelpful = LOG_ZERO }) => ({
    id: token,
    bytes: bytesOrNull(token, vocabulary),
    lp: toLogprob(logprob),
    lp_s: toLogprob(logprobSafety),
    lp_h: toLogprob(logprobHelpful),
  }));
}
