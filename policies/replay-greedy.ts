/**
 * A greedy step again, at another weight, from the likeliest tokens that were stored of it.
 *
 * Let w be the weight that was used and v the other one. A token that is not stored had at most the
 * mixture's probability of the last stored one, has of each expert at most what the stored ones
 * leave of 1, and of the safety expert no more than its favourite has. Under these bounds its score
 * at v is largest at a corner, which is computed here. If a stored token that is affordable scores
 * higher, it is the choice.
 */
import type { Rule } from '#shared/line/line.ts';

export type GreedyTop = {
  id: number;
  /** The mixture's log-probability. */
  lp: number | null;
  /** The experts' own. */
  lp_s: number | null;
  lp_h: number | null;
};

type Known = { id: number; lp: number; lp_s: number; lp_h: number };

/** Scores closer than this may be in another order in the gate, which sums in another one. */
const ROUNDING = 1e-9;

/**
 * @param top likeliest first in the mixture
 * @param step.chosen the token that was taken, whose regret against the safety expert's favourite
 *   is `cost`; `left` is how much regret the other policy allows
 */
export function replayGreedy(
  top: readonly GreedyTop[],
  {
    chosen,
    cost,
    left,
    rule,
    weights,
  }: {
    chosen: number;
    cost: number;
    left: number | null;
    rule: Rule;
    weights: { before: number; after: number };
  },
): 'same' | 'other' | 'unknown' {
  const known = top.filter((each): each is Known => each.lp !== null && each.lp_s !== null && each.lp_h !== null);
  const own = known.find(({ id }) => id === chosen);
  if (own === undefined || known.length < top.length) return 'unknown';
  const favourite = own.lp_s + cost;
  const scores = known.map((each) => {
    const regret = favourite - each.lp_s;
    return { ...each, score: scoreAt(weights.after, each, rule), slack: left === null ? 1 : left - regret };
  });
  // On the edge of what is affordable, rounding decides.
  if (scores.some(({ slack }) => Math.abs(slack) < ROUNDING)) return 'unknown';
  const [best, second] = scores.filter(({ slack }) => slack > 0).toSorted((a, b) => b.score - a.score);
  if (best === undefined) return 'unknown';
  const rival = Math.max(second?.score ?? -Infinity, mostElsewhere(known, { rule, weights, favourite }));
  if (!(best.score > rival + ROUNDING)) return 'unknown';
  return best.id === chosen ? 'same' : 'other';
}

/** Up to a constant, the log of what the mixture gives a token. */
function scoreAt(weight: number, { lp_s, lp_h }: Pick<Known, 'lp_s' | 'lp_h'>, rule: Rule): number {
  if (rule === 'arithmetic') return Math.log(weight * Math.exp(lp_s) + (1 - weight) * Math.exp(lp_h));
  return part(weight, lp_s) + part(1 - weight, lp_h);
}

/** The highest score at the other weight that a token can have which is not stored. */
function mostElsewhere(
  known: readonly Known[],
  {
    rule,
    weights: { before: w, after: v },
    favourite,
  }: { rule: Rule; weights: { before: number; after: number }; favourite: number },
): number {
  const last = known.at(-1);
  if (last === undefined) return Number.POSITIVE_INFINITY;
  const rest = (of: 'lp_s' | 'lp_h') =>
    Math.max(0, 1 - known.reduce((sum, each) => sum + Math.exp(each[of]), 0) + 1e-12);
  const [safety, helpful] = [Math.min(rest('lp_s'), Math.exp(favourite)), rest('lp_h')];
  // The normaliser cancels: it is the same for all tokens of the step.
  const mixed = scoreAt(w, last, rule);
  if (rule === 'arithmetic') {
    const byRest = v * safety + (1 - v) * helpful;
    const byMixture = Math.exp(mixed) * Math.max(ratio(v, w), ratio(1 - v, 1 - w));
    return Math.log(Math.min(byRest, byMixture));
  }
  const [a, b] = [Math.log(safety), Math.log(helpful)];
  // All that is left goes to the expert that gains weight, and the other gets what the mixture's
  // bound still allows.
  if (v >= w) {
    if (w === 1) return part(v, Math.min(a, mixed)) + part(1 - v, b);
    return part(v, a) + part(1 - v, Math.min(b, (mixed - part(w, a)) / (1 - w)));
  }
  if (w === 0) return part(1 - v, Math.min(b, mixed)) + part(v, a);
  return part(1 - v, b) + part(v, Math.min(a, (mixed - part(1 - w, b)) / w));
}

const ratio = (x: number, y: number) => (y === 0 ? (x === 0 ? 0 : Number.POSITIVE_INFINITY) : x / y);

/** weight * logprob, where nothing of an impossible token is 0. */
const part = (weight: number, logprob: number) => (weight === 0 ? 0 : weight * logprob);
