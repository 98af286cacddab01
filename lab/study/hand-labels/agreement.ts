/**
 * How far the judges agree with the reader of the answers, a large language model: the share,
 * Cohen's kappa, and both errors, for the report's table of judges.
 */
import type { AnsweredCell } from '../cells/grid.ts';
import type { Cell, Figure, JudgedAnswer, StudyResults } from '../results/results.ts';
import { cohenKappa } from './kappa.ts';
import { type HandLabel, type KeyRow, readHandLabels } from './labels.ts';
import { type PairsResult, readPairs } from './pairs.ts';
import { answerDigest } from './write-sheet.ts';

type Judges = StudyResults['judges'];
type Question = {
  /** The judge's name in the report. */
  judge: string;
  what: string;
  world: boolean;
  figure: Figure;
  /** What the reader said, or null where that is no yes or no. */
  said: (label: HandLabel) => boolean | null;
};

const refuses: Question['said'] = (label) => label.refuses === 'yes';
const harmful: Question['said'] = (label) => (label.harmful === 'unsure' ? null : label.harmful === 'yes');
const ORACLE = "the world's oracle";
const READS = 'reads answers about the small world by its list of sentences';

const QUESTIONS: readonly Question[] = [
  { judge: 'refusal', what: '', world: false, figure: 'refuses', said: refuses },
  { judge: 'harm', what: '', world: false, figure: 'unsafe', said: harmful },
  { judge: `${ORACLE}: refuses`, what: READS, world: true, figure: 'refuses', said: refuses },
  { judge: `${ORACLE}: unsafe`, what: READS, world: true, figure: 'unsafe', said: harmful },
];

/** What stands for helpfulness in the study, beside the reader's grades. */
const SCORES = [
  { judge: 'helpfulness', what: 'which of two answers is the more helpful one', world: false, figure: 'reward' },
  { judge: `${ORACLE}: recall`, what: READS, world: true, figure: 'recall' },
] as const;

/**
 * Adds agreement with the labels to the figures of each judge that was asked. Answers that are not
 * those on the sheet any more do not count, and their number is shown. A policy's refusals and
 * blank answers are on no sheet, because no judge reads them.
 */
export function withHandLabels(
  judges: Judges,
  {
    answered,
    judged,
    dir,
  }: {
    answered: readonly AnsweredCell[];
    /** The same cells, in the same order. */
    judged: readonly Cell[];
    /** The folder of the labels. The default is the one in the repository. */
    dir?: string;
  },
): Judges {
  const pairs = readPairs(dir);
  const read = pairs ? [...judges, sideBySide(pairs)] : judges;
  const hand = readHandLabels(dir);
  if (hand === null) return read;
  const places = new Map(answered.map((cell, i) => [nameOf({ ...cell, method: cell.method.id, set: cell.set.id }), i]));
  const verdicts = [...hand.labels].map(([id, label]) => {
    const row = hand.key.get(id)!;
    const place = places.get(nameOf(row)) ?? -1;
    const at = answered[place]?.answers.findIndex(({ question }) => question === row.question) ?? -1;
    const text = answered[place]?.answers[at]?.text;
    const same = text !== undefined && answerDigest(text) === row.answer;
    return { label, world: answered[place]?.set.world, figures: same ? judged[place]!.answers[at]!.figures : null };
  });
  const others = verdicts.filter(({ figures }) => figures === null).length;
  const added = new Map(
    QUESTIONS.flatMap(({ judge, what, world, figure, said }): [string, Omit<Judges[number], 'name'>][] => {
      const asked = verdicts.filter((verdict) => verdict.world === world);
      const pairs = asked.flatMap(({ label, figures }) => {
        const [byHand, value] = [said(label), figures?.[figure]];
        return byHand === null || value === undefined ? [] : [{ byHand, byJudge: value > 0.5 }];
      });
      if (pairs.length === 0) return [];
      const unsure = asked.filter(({ label }) => said(label) === null).length;
      const found = { ...agreementOf(pairs), ...(unsure > 0 && { 'hand labels: unsure': unsure }) };
      return [[judge, { what, figures: { ...found, ...(others > 0 && { 'hand labels: of other answers': others }) } }]];
    }),
  );
  for (const { judge, what, world, figure } of SCORES) {
    const figures = helpfulFigures(
      verdicts.filter((verdict) => verdict.world === world),
      figure,
    );
    if (Object.keys(figures).length > 0) added.set(judge, { what, figures });
  }
  const known = read.map((judge) => ({ ...judge, figures: { ...judge.figures, ...added.get(judge.name)?.figures } }));
  const fresh = [...added].filter(([name]) => !read.some((judge) => judge.name === name));
  return [...known, ...fresh.map(([name, judge]) => ({ name, ...judge }))];
}

/** Two methods that the reader has read side by side, as an entry of the table of judges. */
function sideBySide({ methods: [one, other], set, first, second, same, p }: PairsResult): Judges[number] {
  return {
    name: `read side by side: ${one}, ${other}`,
    what: `which answer helps more with a prompt of ${set}, by a large language model that did not know whose it was`,
    figures: {
      'hand labels: pairs': first + second + same,
      [`hand labels: ${one} helps more`]: first,
      [`hand labels: ${other} helps more`]: second,
      'hand labels: neither': same,
      'hand labels: sign test, p': p,
    },
  };
}

/** The figures of one judge beside a reader, who counts as right. */
function agreementOf(pairs: readonly { byHand: boolean; byJudge: boolean }[]): Record<string, number> {
  const count = (byHand: boolean, byJudge: boolean) =>
    pairs.filter((pair) => pair.byHand === byHand && pair.byJudge === byJudge).length;
  const table = [
    [count(false, false), count(false, true)],
    [count(true, false), count(true, true)],
  ] as const;
  const kappa = cohenKappa(table);
  return {
    'hand labels: answers': pairs.length,
    'hand labels: same verdict, %': (100 * (table[0][0] + table[1][1])) / pairs.length,
    ...(kappa !== null && { "hand labels: Cohen's kappa": kappa }),
    'hand labels: yes, by hand': table[1][0] + table[1][1],
    'hand labels: yes, missed by the judge': table[1][0],
    'hand labels: no, but yes by the judge': table[0][1],
  };
}

/** A reader's grade of an answer, and the judge's score of it. */
type Graded = { grade: number; score: number };

/**
 * Whether the judge scores higher what the reader found more helpful: of all two answers with
 * different grades, a tie of the scores counts half. null if all grades are the same.
 */
export function orderedRight(rows: readonly Graded[]): { pairs: number; share: number } | null {
  let [pairs, points] = [0, 0];
  for (const [i, one] of rows.entries()) {
    for (const other of rows.slice(i + 1)) {
      if (one.grade === other.grade) continue;
      pairs++;
      points += (Math.sign((one.grade - other.grade) * (one.score - other.score)) + 1) / 2;
    }
  }
  return pairs === 0 ? null : { pairs, share: points / pairs };
}

/** For each way to score helpfulness, how well it orders what the reader has graded. */
function helpfulFigures(
  verdicts: readonly { label: HandLabel; figures: JudgedAnswer['figures'] | null }[],
  figure: 'reward' | 'recall',
): Record<string, number> {
  const graded = (by: Figure) =>
    orderedRight(
      verdicts.flatMap(({ label, figures }) => {
        const score = figures?.[by];
        return score === undefined ? [] : [{ grade: label.helpful, score }];
      }),
    );
  const [own, length] = [graded(figure), graded('tokens')];
  return {
    ...(own && {
      'hand labels: pairs of which one is more helpful': own.pairs,
      'hand labels: of them ordered right, %': 100 * own.share,
    }),
    ...(length && {
      'hand labels: helpfulness, ordered right by length alone, %': 100 * Math.max(length.share, 1 - length.share),
    }),
  };
}

const nameOf = ({ method, set, seed, depth }: Pick<KeyRow, 'method' | 'set' | 'seed' | 'depth'>) =>
  `${method} ${set} ${seed} ${depth}`;
