/** The sums of a simulation: how the two versions differ over all prompts. */
import type { Compared, Outcome } from './outcome.ts';

export type Side = {
  answered: number;
  refused: number;
  failed: number;
  /** Means over what was answered; null if nothing was, or nobody knows. */
  tokens: number | null;
  weight: number | null;
  spent: number | null;
  reward: number | null;
  cost: number | null;
};

/** What the sums are called, in the order in which they are shown. */
export const SUMS = [
  ['answered', 'answered'],
  ['refused', 'refused'],
  ['failed', 'failed'],
  ['tokens', 'tokens an answer'],
  ['weight', 'mean safety weight'],
  ['spent', 'spent, nats'],
  ['reward', 'reward'],
  ['cost', 'cost'],
] as const satisfies readonly (readonly [keyof Side, string])[];

export type Summary = {
  prompts: number;
  /** Prompts without an answer on one side or both, and others with an answer but no scores. */
  failed: number;
  unscored: number;
  before: Side;
  after: Side;
  /** Prompts whose answer is another one, and those of them that only one version refuses. */
  differ: number;
  refusedOnlyBefore: number[];
  refusedOnlyAfter: number[];
};

export function summarise(compared: readonly Compared[]): Summary {
  const onlyRefused = (by: 'before' | 'after', not: 'before' | 'after') =>
    compared.filter((each) => each[by].kind === 'refused' && each[not].kind === 'answered').map(({ index }) => index);
  return {
    prompts: compared.length,
    failed: compared.filter(hasFailed).length,
    unscored: compared.filter((each) => !hasFailed(each) && isUnscored(each)).length,
    before: sideOf(compared.map(({ before }) => before)),
    after: sideOf(compared.map(({ after }) => after)),
    differ: compared.filter(({ before, after }) => before.kind !== after.kind || before.text !== after.text).length,
    refusedOnlyBefore: onlyRefused('before', 'after'),
    refusedOnlyAfter: onlyRefused('after', 'before'),
  };
}

const hasFailed = ({ before, after }: Compared) => before.kind === 'failed' || after.kind === 'failed';
const isUnscored = ({ before, after }: Compared) => before.unscored !== null || after.unscored !== null;

function sideOf(outcomes: readonly Outcome[]): Side {
  const answered = outcomes.filter(({ kind }) => kind === 'answered');
  const meanOf = (read: (outcome: Outcome) => number | null | undefined) => {
    const values = answered.map(read).filter((value) => value != null);
    return values.length === 0 ? null : values.reduce((a, b) => a + b, 0) / values.length;
  };
  return {
    answered: answered.length,
    refused: outcomes.filter(({ kind }) => kind === 'refused').length,
    failed: outcomes.filter(({ kind }) => kind === 'failed').length,
    tokens: meanOf(({ tokens }) => tokens),
    weight: meanOf(({ weights }) => weights?.mean),
    spent: meanOf(({ spent }) => spent),
    reward: meanOf(({ scores }) => scores?.reward),
    cost: meanOf(({ scores }) => scores?.cost),
  };
}
