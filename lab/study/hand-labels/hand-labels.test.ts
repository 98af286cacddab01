/** From a study's answers to a blind sheet, and from its labels to the agreement of the judges. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { createRandom } from '#training/data/random.ts';
import { rocAuc } from '../../classifier/metrics.ts';
import type { AnsweredCell } from '../cells/grid.ts';
import type { Cell } from '../results/results.ts';
import { orderedRight, withHandLabels } from './agreement.ts';
import { FILES, type HandLabel, KeyRow, readHandLabels, SheetRow } from './labels.ts';
import { drawSheet, writeSheet } from './write-sheet.ts';

// Sheet and comparison read nothing of a method but its id.
const METHODS = ['base', 'soup', 'router'].map((id) => ({ id }) as AnsweredCell['method']);
const kept = {
  ...{ tokens: 3, finished: true, weights: [], weight: null },
  ...{ safetyKl: null, helpfulnessKl: null, spent: null },
};

/** Every method gives every question of every set an answer of its own, and one that all give. */
function cells({ questions = 8 } = {}): AnsweredCell[] {
  return METHODS.flatMap((method) =>
    ['harmful', 'ordinary'].map((id): AnsweredCell => {
      const ids = Array.from({ length: questions }, (_, i) => `${id}-${i}`);
      return {
        method,
        set: {
          ...{ id, label: id, what: '', world: false },
          questions: ids.map((question) => ({
            ...{ id: question, topic: question, kind: null, category: null },
            messages: [{ role: 'user' as const, content: `What of ${question}?` }],
          })),
        },
        ...{ seed: 1, depth: 0, begun: ids.map(() => '') },
        answers: ids.map((question, i) => {
          // A number, so that the words do not name the method.
          const text = i === 0 ? 'No.' : `${METHODS.indexOf(method)} was told of ${question}.`;
          return { question, text, ...kept };
        }),
      };
    }),
  );
}

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'plimsoll-hand-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
});
const rowsOf = (file: string): unknown[] =>
  readFileSync(path.join(dir, file), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

test('a sheet has prompts and answers, and neither words nor order tell the method', () => {
  writeSheet(cells(), { dir, count: 12, seed: 1 });
  const sheet = rowsOf(FILES.sheet).map((row) => SheetRow.parse(row));
  const key = rowsOf(FILES.key).map((row) => KeyRow.parse(row));
  expect(sheet.map(({ id }) => id)).toEqual(Array.from({ length: 12 }, (_, i) => String(i + 1).padStart(2, '0')));
  expect(key.map(({ id }) => id)).toEqual(sheet.map(({ id }) => id));
  const text = readFileSync(path.join(dir, FILES.sheet), 'utf8');
  for (const { id } of METHODS) expect(text).not.toContain(`"${id}"`);
  expect(Object.keys(sheet[0]!).sort()).toEqual(['answer', 'id', 'prompt']);
  const methods = key.map(({ method }) => method);
  expect(methods).not.toEqual(methods.toSorted());
});

test('every set and method gives equally many answers, and none is read twice', () => {
  const { sheet, key } = drawSheet(cells(), { count: 12, seed: 1 });
  const strata = Map.groupBy(key, ({ set, method }) => `${set} ${method}`);
  expect([...strata.values()].map(({ length }) => length)).toEqual([2, 2, 2, 2, 2, 2]);
  // The first answers are the same under all methods.
  const all = drawSheet(cells(), { count: 1000, seed: 1 });
  expect(all.sheet).toHaveLength(2 * (1 + 3 * 7));
  expect(new Set(all.sheet.map(({ prompt, answer }) => JSON.stringify([prompt, answer]))).size).toBe(all.sheet.length);
  expect(drawSheet(cells(), { count: 12, seed: 1 })).toEqual({ sheet, key });
  expect(drawSheet(cells(), { count: 12, seed: 2 }).key).not.toEqual(key);
});

test('shows the beginning that an attack forced, and as the answer only what is its own', () => {
  const [cell] = cells({ questions: 1 });
  const attacked = {
    ...cell!,
    depth: 5,
    begun: ['You can pour the'],
    answers: [{ ...cell!.answers[0]!, text: ' bleach. Open the window.' }],
  };
  expect(drawSheet([attacked], { count: 5, seed: 1 }).sheet).toMatchObject([
    { begun: 'You can pour the', answer: 'Open the window.' },
  ]);
});

test('leaves out what no judge reads: refusals of a policy and blank answers', () => {
  const [cell] = cells({ questions: 3 });
  const [refused, blank, said] = cell!.answers;
  const answers = [{ ...refused!, tokens: 0 }, { ...blank!, text: ' ' }, said!];
  const { sheet, key } = drawSheet([{ ...cell!, answers }], { count: 5, seed: 1 });
  expect(sheet.map(({ answer }) => answer)).toEqual([said!.text]);
  expect(key.map(({ question }) => question)).toEqual([said!.question]);
});

/** The reader takes even questions for refusals; the judges take every answer for one. */
function labelled(change: (label: HandLabel, i: number) => object = (label) => label): void {
  writeSheet(cells(), { dir, count: 12, seed: 1 });
  const labels = rowsOf(FILES.key).map((row, i) => {
    const { id, question } = KeyRow.parse(row);
    const refuses = Number(question.split('-')[1]) % 2 === 0 ? 'yes' : 'no';
    return change({ id, refuses, harmful: i < 3 ? 'unsure' : 'no', helpful: 1, note: '' }, i);
  });
  writeFileSync(path.join(dir, FILES.labels), labels.map((label) => `${JSON.stringify(label)}\n`).join(''));
}
const judged = (): Cell[] =>
  cells().map(({ method, set, seed, depth, answers }) => ({
    ...{ method: method.id, set: set.id, seed, depth },
    answers: answers.map(({ question }) => ({
      ...{ question, topic: question, kind: null, category: null, weights: [] },
      figures: { refuses: 1, unsafe: 0 },
    })),
  }));
const JUDGES = [{ name: 'refusal', what: 'a judge', figures: { 'accuracy, %': 90 } }];

test('each judge is compared with the labels, and both errors are shown', () => {
  labelled();
  const hand = readHandLabels(dir)!;
  const yes = [...hand.labels.values()].filter(({ refuses }) => refuses === 'yes').length;
  const found = withHandLabels(JUDGES, { answered: cells(), judged: judged(), dir });
  expect(found.find(({ name }) => name === 'refusal')).toEqual({
    ...JUDGES[0]!,
    figures: {
      'accuracy, %': 90,
      'hand labels: answers': 12,
      'hand labels: same verdict, %': (100 * yes) / 12,
      "hand labels: Cohen's kappa": 0,
      'hand labels: yes, by hand': yes,
      'hand labels: yes, missed by the judge': 0,
      'hand labels: no, but yes by the judge': 12 - yes,
    },
  });
  expect(found.find(({ name }) => name === 'harm')!.figures).toMatchObject({
    'hand labels: answers': 9,
    'hand labels: same verdict, %': 100,
    'hand labels: unsure': 3,
  });
});

test('scores of helpfulness are compared with the grades, pair by pair', () => {
  labelled((label, i) => ({ ...label, helpful: i % 3 }));
  const hand = readHandLabels(dir)!;
  const gradeOf = new Map([...hand.key.values()].map((row) => [JSON.stringify(row), hand.labels.get(row.id)!.helpful]));
  const scored = judged().map((cell) => ({
    ...cell,
    answers: cell.answers.map((answer) => {
      const row = [...hand.key.values()].find(
        ({ method, set, question }) => method === cell.method && set === cell.set && question === answer.question,
      );
      const grade = row ? gradeOf.get(JSON.stringify(row))! : 0;
      return { ...answer, figures: { ...answer.figures, tokens: -grade, reward: 3 - grade } };
    }),
  }));
  const found = withHandLabels(JUDGES, { answered: cells(), judged: scored, dir });
  expect(found.find(({ name }) => name === 'helpfulness')!.figures).toEqual({
    'hand labels: pairs of which one is more helpful': 48,
    'hand labels: of them ordered right, %': 0,
    // The shorter answer is the more helpful one.
    'hand labels: helpfulness, ordered right by length alone, %': 100,
  });
  const without = withHandLabels(JUDGES, { answered: cells(), judged: judged(), dir });
  expect(without.some(({ name }) => name === 'helpfulness')).toBe(false);
});

test('of two grades, the share of pairs ordered right is the area under ROC', () => {
  const random = createRandom('ordered');
  for (let i = 0; i < 20; i++) {
    // Few different scores, so that some tie.
    const rows = Array.from({ length: random.int(5, 30) }, (_, k) => ({
      grade: k < 2 ? k : random.int(0, 2),
      score: random.int(0, 4),
    })).map(({ grade, score }) => ({ grade: Math.min(grade, 1), score }));
    const area = rocAuc(rows.map(({ grade, score }) => ({ score, positive: grade === 1 })));
    expect(orderedRight(rows)!.share).toBeCloseTo(area!, 12);
  }
  expect(orderedRight([{ grade: 1, score: 3 }])).toBeNull();
  expect(
    orderedRight([
      { grade: 1, score: 3 },
      { grade: 1, score: 2 },
    ]),
  ).toBeNull();
});

test('a label of an answer that has changed since does not count', () => {
  labelled();
  const changed = cells().map((cell) => ({
    ...cell,
    answers: cell.answers.map((answer) => (cell.set.id === 'ordinary' ? { ...answer, text: 'Else.' } : answer)),
  }));
  const [refusal] = withHandLabels(JUDGES, { answered: changed, judged: judged(), dir });
  expect(refusal!.figures).toMatchObject({ 'hand labels: answers': 6, 'hand labels: of other answers': 6 });
});

test('without labels, the judges stay as they are, and a sheet with labels is not drawn anew', () => {
  writeSheet(cells(), { dir, count: 12, seed: 1 });
  expect(withHandLabels(JUDGES, { answered: cells(), judged: judged(), dir })).toEqual(JUDGES);
  labelled();
  expect(() => writeSheet(cells(), { dir, count: 12, seed: 2 })).toThrow(/labels\.jsonl: found labels/);
});

test.each([
  [
    'another answer of the reader',
    (label: HandLabel) => ({ ...label, refuses: 'maybe' }),
    /labels\.jsonl:1: .*refuses/,
  ],
  ['an answer twice', (label: HandLabel) => ({ ...label, id: '01' }), /labels\.jsonl:2: found 01 twice/],
  [
    'an answer that is not on the sheet',
    (label: HandLabel, i: number) => (i === 5 ? { ...label, id: '99' } : label),
    /found a label for 99/,
  ],
])('refuses %s', (_, change, message) => {
  labelled(change);
  expect(() => readHandLabels(dir)).toThrow(message);
});
