import type { Report, TopToken } from './gate-types.ts';

type Asked = {
  report: Report;
  /** What each expert itself gives a token. */
  own: (token: number) => Required<Pick<TopToken, 'logprobSafety' | 'logprobHelpful'>>;
};

/**
 * The likeliest tokens of a distribution, likeliest first; among equals, the lowest ids first.
 *
 * @param logprobs log-probabilities, or anything that ranks tokens as they do, [vocabulary]
 */
export function topTokens(logprobs: Float64Array, { report, own }: Asked): TopToken[] {
  return likeliest(logprobs, report.topLogprobs).map((token) => ({
    token,
    logprob: logprobs[token] ?? NaN,
    ...(report.experts && own(token)),
  }));
}

/**
 * The places of the `count` largest numbers, largest first. Only numbers above `least` count. Few
 * are wanted, so an insertion into a sorted list is all it takes.
 */
export function likeliest(row: Float64Array, count: number, least = -Infinity): number[] {
  const top: number[] = [];
  if (count === 0) return top;
  for (let i = 0; i < row.length; i++) {
    const x = row[i] ?? NaN;
    if (!(x > least)) continue;
    let at = top.length;
    while (at > 0 && x > (row[top[at - 1] ?? NaN] ?? NaN)) at--;
    top.splice(at, 0, i);
    if (top.length > count) top.pop();
    if (top.length === count) least = row[top[count - 1] ?? NaN] ?? Infinity;
  }
  return top;
}
