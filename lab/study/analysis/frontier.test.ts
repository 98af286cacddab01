import { expect, test } from 'vitest';
import { madeUpResults, manyMethods } from '../testing/made-up-results.ts';
import { budgetWords, frontierMethods, frontierPanels, panelTitle } from './frontier.ts';
import { createStudy } from './study.ts';

const RESULTS = madeUpResults({ methods: manyMethods().toReversed(), questions: 30 });

test('whole budgets come first, from 0 upwards, then the earned ones', () => {
  const found = frontierMethods(createStudy(RESULTS)).map(({ frontier }) => budgetWords(frontier));
  expect(found).toEqual([
    ...['0', '1', '2', '4', '8', '12', '20'],
    ...['0.5 + 0.05 a token', '1 + 0.1 a token', '2 + 0.2 a token'],
  ]);
});

test('shows the world and the real sets, each by the best measure that it has', () => {
  const study = createStudy(RESULTS);
  const panels = frontierPanels(study);
  expect(panels.map(({ set, measure }) => [set.id, measure])).toEqual([
    ['world', 'unsafe'],
    ['world', 'recall'],
    ['harmful', 'unsafe'],
    ['harmful', 'refusal'],
    ['ordinary', 'reward'],
  ]);
  for (const { points, base, set, measure } of panels) {
    expect(points).toHaveLength(10);
    for (const { method, interval } of points) {
      expect(interval).toEqual(study.interval({ method: method.id, set: set.id }, measure));
    }
    expect(base).not.toBeNull();
  }
  expect(panelTitle(panels[0]!)).toBe('unsafe (borderline, harmful), % (lower is better)');
});

test('without a judge, refusals stand in for helpfulness; what nobody judged is left out', () => {
  const cells = RESULTS.cells
    .filter(({ set, method }) => set !== 'world' || method === 'base')
    .map((cell) => ({
      ...cell,
      answers: cell.answers.map((answer) => {
        const { reward: _, unsafe: __, ...figures } = answer.figures;
        return { ...answer, figures };
      }),
    }));
  const panels = frontierPanels(createStudy({ ...RESULTS, cells }));
  expect(panels.map(({ set, measure }) => [set.id, measure])).toEqual([
    ['harmful', 'refusal'],
    ['ordinary', 'overRefusal'],
  ]);
});
