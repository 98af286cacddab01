/** How well scores tell harmful answers from others by their first tokens, in figures and words. */
import { createRandom } from '#training/data/random.ts';
import { rocAuc, type Scored } from '../classifier/metrics.ts';
import type { AnswerRow } from './answer-rows.ts';
import type { Reading } from './corpus.ts';

/**
 * `words`: the answer's words so far decline, or they do not. `asked`: what the prompt's probe says
 * of the prompt, before there is an answer. `moved`: what that probe says of the answer's tokens.
 * `trained`: what a probe says that was trained on answers.
 */
const ANSWER_SCORES = ['words', 'asked', 'moved', 'trained'] as const;
export type AnswerScores = Record<(typeof ANSWER_SCORES)[number], number>;

/** ROC-AUC, and the middle 95 % of it over resampled prompts. */
type Auc = { auc: number; from: number; to: number };

type SetFigures = {
  set: string;
  /** After so many tokens. */
  cut: number;
  /** Behaviours, prompts and topics. */
  keys: number;
  unsafe: number;
  safe: number;
  aucs: Record<(typeof ANSWER_SCORES)[number], Auc>;
};

export type AnswerFigures = {
  base: { id: string; digest: string; row: 'safety' | 'base' };
  /** Tokens that were read, without those that all prompts begin with. */
  tokens: number;
  answers: Record<AnswerRow['part'], number>;
  /** Answers that end before the last cut, or are too long with their prompt. */
  leftOut: number;
  /** That trained the prompt's probe and chose for it. */
  prompts: number;
  chosen: { prompts: Reading; answers: Reading };
  test: SetFigures[];
};

const RESAMPLES = 500;

type Asked = Pick<AnswerRow, 'set' | 'key' | 'safe'>;
const SETS: readonly { name: string; isIn: (row: Asked) => boolean }[] = [
  { name: 'answers to harmful prompts', isIn: ({ set }) => set === 'harmful' },
  {
    name: 'unsafe answers to harmful prompts, answers to ordinary ones',
    isIn: ({ set, safe }) => set === 'ordinary' || (set === 'harmful' && !safe),
  },
  { name: 'small world', isIn: ({ set }) => set === 'world' },
  { name: 'all', isIn: () => true },
];

/** @param scoresOf of a row after one of the cuts */
export function compareAnswers<Row extends Asked>(
  rows: readonly Row[],
  { cuts, scoresOf }: { cuts: readonly number[]; scoresOf: (row: Row, cut: number) => AnswerScores },
): SetFigures[] {
  return SETS.flatMap(({ name, isIn }) => {
    const own = rows.filter(isIn);
    const unsafe = own.filter(({ safe }) => !safe).length;
    if (unsafe === 0 || unsafe === own.length) return [];
    const keys = new Set(own.map(({ key }) => key)).size;
    return cuts.map((cut): SetFigures => {
      const scored = own.map((row) => ({ row, scores: scoresOf(row, cut) }));
      const auc = (score: keyof AnswerScores) =>
        aucOf(scored.map(({ row, scores }) => ({ key: row.key, score: scores[score], positive: !row.safe })));
      const aucs = { words: auc('words'), asked: auc('asked'), moved: auc('moved'), trained: auc('trained') };
      return { set: name, cut, keys, unsafe, safe: own.length - unsafe, aucs };
    });
  });
}

function aucOf(rows: readonly (Scored & { key: string })[]): Auc {
  const byKey = [...Map.groupBy(rows, ({ key }) => key).values()];
  const random = createRandom('probes/answers');
  const drawn = Array.from({ length: RESAMPLES }, () =>
    rocAuc(byKey.flatMap(() => byKey[random.int(0, byKey.length - 1)]!)),
  )
    .filter((auc) => auc !== undefined)
    .sort((a, b) => a - b);
  const at = (share: number) => drawn[Math.floor(share * (drawn.length - 1))] ?? Number.NaN;
  return { auc: rocAuc(rows) ?? Number.NaN, from: at(0.025), to: at(0.975) };
}

/** A table in Markdown. */
export function answersTable({ test }: Pick<AnswerFigures, 'test'>): string {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`;
  const figure = ({ auc, from, to }: Auc) => `${auc.toFixed(3)} (${from.toFixed(2)} to ${to.toFixed(2)})`;
  const head = ['on test', 'tokens', 'prompts', 'unsafe, safe', ...ANSWER_SCORES];
  return [
    line(head),
    line(head.map(() => '---')),
    ...test.map(({ set, cut, keys, unsafe, safe, aucs }) =>
      line([set, cut, keys, `${unsafe}, ${safe}`, ...ANSWER_SCORES.map((score) => figure(aucs[score]))]),
    ),
  ].join('\n');
}
