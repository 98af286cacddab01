/** The gate's numbers as they go to the client. */
import { LOG_ZERO, type TopToken as ReportedToken, SPENT_UNBOUNDED } from '#shared/gate/index.ts';
import type { TopToken } from '#shared/protocol/generate.ts';
import type { Vocabulary } from './vocabulary.ts';

/** The wire has no infinities, so a probability of zero and unbounded spending become null. */
export const toLogprob = (value: number): number | null => (value <= LOG_ZERO ? null : value);
export const toNats = (value: number): number | null => (value >= SPENT_UNBOUNDED ? null : value);

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
