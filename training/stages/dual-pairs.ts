/**
 * D_dual, the pairs that a router learns from. They say which of two answers is better overall,
 * given their costs (below 0: safe) and which one is more helpful. MidPO's paper and code have four
 * different definitions:
 *
 *   figure        y_w is the more helpful answer if it is safe, otherwise the other one
 *                 (its figure 2)
 *   both-safe     only pairs with two safe answers; the one with the lower cost wins, at equal
 *                 costs the less helpful one (its code: reward-ranking.py)
 *   safe-better   only pairs whose more helpful answer is safe; it wins
 *                 (its code: only_safe_better.py, which nothing there imports)
 *   agreed        only pairs with two safe answers, by their labels, whose safer answer is the more
 *                 helpful one; it wins (its code: what its router's trainer reads)
 *
 * With the last three, a router hardly ever sees an unsafe answer lose. `corrected` fixes that: a
 * safe answer beats an unsafe one, the more helpful of two safe answers wins, and pairs of two
 * unsafe answers are left out.
 */
import type { Preference } from '../data/rows.ts';

export const DUAL_DEFINITIONS = ['figure', 'both-safe', 'safe-better', 'agreed', 'corrected'] as const;
/** For `--help`: which of two answers wins, in a line. */
export const DUAL_MEANINGS: Readonly<Record<(typeof DUAL_DEFINITIONS)[number], string>> = {
  figure: "the more helpful one if it is safe, otherwise the other one (MidPO's figure 2)",
  'both-safe': "the one of lower cost; only pairs of two safe answers (MidPO's code, reward-ranking.py)",
  'safe-better': "the more helpful one; only pairs where that one is safe (MidPO's code, only_safe_better.py)",
  agreed:
    "the one that is both safer and more helpful; only pairs of two safe answers (what MidPO's router trainer reads)",
  corrected: 'the safe one; of two safe ones the more helpful; pairs of two unsafe ones are left out (ours)',
};

export type DualDefinition = (typeof DUAL_DEFINITIONS)[number];

/** A judged pair: the costs of both responses, and which one is more helpful (null: neither). */
export type JudgedPair = {
  costs: readonly [number, number];
  better: 0 | 1 | null;
  /**
   * What the data set says of the pair's safety. Only `agreed` reads it, since the published code
   * does. Where a label is null, the costs decide.
   */
  labels?: Pick<Preference, 'safe' | 'safer'>;
};

/** The index of the winning answer, or why the pair is left out. */
export type DualVerdict = { winner: 0 | 1 } | { leftOut: string };

const AN_UNSAFE_ANSWER = 'an unsafe answer';

const RULES: Record<
  DualDefinition,
  (pair: Omit<JudgedPair, 'better'> & { safe: [boolean, boolean]; better: 0 | 1 }) => DualVerdict
> = {
  figure: ({ safe, better }) => ({ winner: safe[better] ? better : other(better) }),
  'both-safe': ({ safe, costs, better }) =>
    safe[0] && safe[1] ? { winner: cheaper(costs) ?? other(better) } : { leftOut: AN_UNSAFE_ANSWER },
  'safe-better': ({ safe, better }) =>
    safe[better] ? { winner: better } : { leftOut: 'the more helpful answer is unsafe' },
  agreed: ({ safe, costs, better, labels }) => {
    if (!safe.every((byCost, side) => labels?.safe?.[side] ?? byCost)) return { leftOut: AN_UNSAFE_ANSWER };
    const safer = labels?.safer ?? cheaper(costs);
    return safer === better ? { winner: better } : { leftOut: 'the safer answer is not the more helpful one' };
  },
  corrected: ({ safe, better }) => {
    if (safe[0] !== safe[1]) return { winner: safe[0] ? 0 : 1 };
    return safe[0] ? { winner: better } : { leftOut: 'both answers are unsafe' };
  },
};

export function dualVerdict(definition: DualDefinition, { better, ...judged }: JudgedPair): DualVerdict {
  const { costs } = judged;
  const safe: [boolean, boolean] = [costs[0] < 0, costs[1] < 0];
  if (better === null) {
    // Only `corrected` can judge a pair by safety alone.
    return definition === 'corrected' && safe[0] !== safe[1]
      ? { winner: safe[0] ? 0 : 1 }
      : { leftOut: 'neither answer is more helpful' };
  }
  return RULES[definition]({ ...judged, safe, better });
}

function cheaper([first, second]: readonly [number, number]): 0 | 1 | null {
  return first === second ? null : first < second ? 0 : 1;
}

function other(response: 0 | 1): 0 | 1 {
  return response === 0 ? 1 : 0;
}

/**
 * Returns the pairs that a definition keeps, with the winner as `better`, and how many it leaves
 * out for each reason.
 */
export function dualPairs(
  pairs: readonly { preference: Preference; judged: JudgedPair }[],
  definition: DualDefinition,
): { dual: Preference[]; leftOut: Record<string, number> } {
  const dual: Preference[] = [];
  const leftOut: Record<string, number> = {};
  for (const { preference, judged } of pairs) {
    const verdict = dualVerdict(definition, judged);
    if ('winner' in verdict) dual.push({ ...preference, better: verdict.winner });
    else leftOut[verdict.leftOut] = (leftOut[verdict.leftOut] ?? 0) + 1;
  }
  return { dual, leftOut };
}
