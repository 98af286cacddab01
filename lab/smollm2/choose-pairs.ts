/**
 * Chooses the pairs of a set: balances each family by length, then takes pairs until the family's
 * tokens are used up.
 */
import { encodePairs, type PairRows } from '#training/data/encode-pairs.ts';
import type { Preference } from '#training/data/rows.ts';
import { stepOf } from '#training/stages/pair-set.ts';
import type { TrainingTokenizer } from '#training/tokenizer/chat-files.ts';
import { balanceByLength, inRandomOrder, type LengthFigures, lengthFigures, type PairLengths } from './pair-lengths.ts';
import type { TokenBudgets } from './settings.ts';
import { FAMILIES, type Family } from './sources.ts';

type FamilyFigures = {
  /** All pairs that carry the label and fit. */
  before: LengthFigures;
  /** What balancing left, and what the budget left of that. */
  balanced: LengthFigures;
  chosen: LengthFigures;
  /** Padded tokens of the chosen pairs. */
  tokens: number;
};

export type ChosenPairs<T> = { pairs: T[]; figures: Partial<Record<Family, FamilyFigures>> };

type WithFamily = Preference & { family: Family };

/**
 * Takes pairs of the families in `budgets`, at least a couple of each that has any. Pairs without a
 * verdict in `dimension`, with equal or empty answers, or with a row of more than `maxRowTokens`
 * are left out first.
 */
export function choosePairs<T extends WithFamily>(
  candidates: readonly T[],
  {
    dimension,
    budgets,
    tokenizer,
    maxRowTokens,
    pairsPerBatch,
    seed,
    balanced = true,
  }: {
    dimension: 'better' | 'safer';
    budgets: TokenBudgets;
    tokenizer: TrainingTokenizer;
    maxRowTokens: number;
    /** Of the stage that reads them. It decides how far rows are padded. */
    pairsPerBatch: number;
    seed: string;
    /** Whether to balance by length. To measure on, pairs are taken as they come. */
    balanced?: boolean;
  },
): ChosenPairs<T> {
  const chosen: T[] = [];
  const costOf = (pairs: readonly PairRows[]) =>
    pairs.reduce((sum, pair) => sum + paddedTokens(pair, pairsPerBatch), 0);
  const figures: ChosenPairs<T>['figures'] = {};
  for (const family of FAMILIES) {
    const budget = budgets[family];
    if (budget === undefined) continue;
    const own = candidates.filter((candidate) => candidate.family === family);
    const { pairs } = encodePairs(own, tokenizer, { dimension });
    const fitting = pairs.filter((pair) => longest(pair) <= maxRowTokens);
    const options = { lengths, name: nameOf, seed: `${seed}/${dimension}` };
    const couples = (balanced ? balanceByLength : inRandomOrder)(fitting, options);
    const taken = takeTokens(couples, { budget, costOf }).flat();
    // `own` holds the very objects that the encoded pairs point to.
    chosen.push(...taken.map(({ preference }) => preference as T));
    figures[family] = {
      before: lengthFigures(fitting.map(lengths)),
      balanced: lengthFigures(couples.flat().map(lengths)),
      chosen: lengthFigures(taken.map(lengths)),
      tokens: costOf(taken),
    };
  }
  return { pairs: chosen, figures };
}

/** What a pair costs: both rows, padded to the longer one's bucket. */
export function paddedTokens(pair: Pick<PairRows, 'chosen' | 'rejected'>, pairsPerBatch: number): number {
  const step = stepOf(pairsPerBatch);
  return 2 * Math.ceil(longest(pair) / step) * step;
}

function longest({ chosen, rejected }: Pick<PairRows, 'chosen' | 'rejected'>): number {
  return Math.max(chosen.ids.length, rejected.ids.length);
}

/** Whole couples, so that what is taken stays balanced. */
function takeTokens(
  couples: readonly PairRows[][],
  { budget, costOf }: { budget: number; costOf: (pairs: readonly PairRows[]) => number },
): PairRows[][] {
  let left = budget;
  return couples.filter((couple, i) => {
    const cost = costOf(couple);
    const fits = i === 0 || cost <= left;
    if (fits) left -= cost;
    return fits;
  });
}

/** Of the answers, end token included: the weights of a row mark its answer. */
export function lengths({ chosen, rejected }: Pick<PairRows, 'chosen' | 'rejected'>): PairLengths {
  const answer = ({ weights }: PairRows['chosen']) => weights.reduce((sum, weight) => sum + weight, 0);
  return { chosen: answer(chosen), rejected: answer(rejected) };
}

function nameOf({ preference: { prompt, responses } }: PairRows): string {
  return JSON.stringify([prompt, responses]);
}
