/**
 * How far the judges agree with somebody who has read the answers: the share, Cohen's kappa, and
 * both errors, for the report's table of judges.
 */
import type { AnsweredCell } from '../cells/grid.ts';
import type { Cell, Figure, StudyResults } from '../results/results.ts';
import { cohenKappa } from './kappa.ts';
import { type HandLabel, type KeyRow, readHandLabels } from './labels.ts';
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

/**
 * Adds agreement with the labels to the figures of each judge that was asked. Answers that are not
 * those on the sheet any more do not count, and their number is shown.
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
  const hand = readHandLabels(dir);
  if (hand === null) return judges;
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
  const known = judges.map((judge) => ({ ...judge, figures: { ...judge.figures, ...added.get(judge.name)?.figures } }));
  const fresh = [...added].filter(([name]) => !judges.some((judge) => judge.name === name));
  return [...known, ...fresh.map(([name, judge]) => ({ name, ...judge }))];
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

const nameOf = ({ method, set, seed, depth }: Pick<KeyRow, 'method' | 'set' | 'seed' | 'depth'>) =>
  `${method} ${set} ${seed} ${depth}`;
