import { expect, test } from 'vitest';
import { answersTable, compareAnswers } from './answer-figures.ts';

const rows = Array.from({ length: 40 }, (_, i) => ({
  set: (['harmful', 'ordinary', 'world'] as const)[i % 3]!,
  key: `${i % 20}`,
  safe: i % 3 === 1 || i % 4 < 2,
  i,
}));
const figures = compareAnswers(rows, {
  cuts: [5, 10],
  scoresOf: ({ safe, i }, cut) => ({
    words: 0,
    asked: safe ? 0 : 1,
    moved: safe ? 1 : 0,
    trained: cut === 5 ? i % 7 : safe ? -i : i,
  }),
});

test('each set has its own rows, and only answers to ordinary prompts beside unsafe ones', () => {
  const count = (isIn: (row: (typeof rows)[number]) => boolean) => rows.filter(isIn).length;
  expect(figures.map(({ set, cut, unsafe, safe }) => [set, cut, unsafe, safe]).filter(([, cut]) => cut === 10)).toEqual(
    [
      [
        'answers to harmful prompts',
        10,
        count(({ set, safe }) => set === 'harmful' && !safe),
        count(({ set, safe }) => set === 'harmful' && safe),
      ],
      [
        'unsafe answers to harmful prompts, answers to ordinary ones',
        10,
        count(({ set, safe }) => set === 'harmful' && !safe),
        count(({ set }) => set === 'ordinary'),
      ],
      [
        'small world',
        10,
        count(({ set, safe }) => set === 'world' && !safe),
        count(({ set, safe }) => set === 'world' && safe),
      ],
      ['all', 10, count(({ safe }) => !safe), count(({ safe }) => safe)],
    ],
  );
});

test('a score that knows gets 1, its opposite 0, and one that says nothing a half, in every resample', () => {
  for (const { aucs } of figures) {
    expect(aucs.asked).toEqual({ auc: 1, from: 1, to: 1 });
    expect(aucs.moved).toEqual({ auc: 0, from: 0, to: 0 });
    expect(aucs.words).toEqual({ auc: 0.5, from: 0.5, to: 0.5 });
  }
});

test('the interval holds the figure, and is as wide as few prompts make it', () => {
  for (const { aucs, cut } of figures) {
    const { auc, from, to } = aucs.trained;
    expect(from).toBeLessThanOrEqual(auc);
    expect(to).toBeGreaterThanOrEqual(auc);
    expect(to - from > 0.1).toBe(cut === 5);
  }
});

test('the table has a line for each set and cut', () => {
  const lines = answersTable({ test: figures }).split('\n');
  expect(lines).toHaveLength(2 + figures.length);
  expect(lines[2]).toContain('| 1.000 (1.00 to 1.00) |');
});
