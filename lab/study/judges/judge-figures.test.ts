import { describe, expect, test } from 'vitest';
import { answerFigures, areaWithinPrompts, calibrationOf, pairFigures, type ScoredPair } from './judge-figures.ts';
import { whyUnused } from './learn-judges.ts';

const answer = (positive: boolean, score: number, source = 'a', prompt = source) => ({
  ...{ positive, score, source, prompt },
  byPrompt: 0,
  unseen: source === 'a' ? -score : null,
  length: positive ? 40 : 20,
  baseline: true,
});
const pair = (key: string, right: boolean, longer: boolean): ScoredPair => ({
  scores: right ? { more: 1, less: 0 } : { more: 0, less: 1 },
  lengths: longer ? { more: 9, less: 5 } : { more: 5, less: 9 },
  ...{ source: 'a', key },
});

test('counts what a judge of answers finds, misses and takes for what it is not, by source', () => {
  const rows = [answer(true, 2), answer(true, -1), answer(false, -2), answer(false, 1), answer(false, -3, 'b')];
  const figures = answerFigures(rows, 'a rule');
  expect(figures).toEqual({
    'held-out answers': 5,
    'of them yes': 2,
    'accuracy, %': 60,
    'recall, %': 50,
    'precision, %': 50,
    'area under ROC': 5 / 6,
    'prompts with both kinds of answers': 1,
    'area under ROC within such a prompt': 3 / 4,
    'area under ROC by the prompt alone': 0.5,
    'calibration error, %': expect.any(Number),
    'right by a rule, %': 40,
    'area under ROC by length alone': 1,
    'a (4): accuracy, %': 50,
    'a (4): right by a rule, %': 50,
    'a (4), not learned from: accuracy, %': 50,
    'a (4), not learned from: area under ROC': 1 / 4,
    'b (1): accuracy, %': 100,
  });
});

test('the error of calibration takes both kinds for equally many', () => {
  // Right about half of either kind, so honest at even odds, although one kind is rare.
  const rows = [
    ...Array.from({ length: 90 }, (_, i) => answer(false, i % 2 === 0 ? 1e-9 : -1e-9)),
    ...Array.from({ length: 10 }, (_, i) => answer(true, i % 2 === 0 ? 1e-9 : -1e-9)),
  ];
  expect(answerFigures(rows, 'a rule')['calibration error, %']).toBeCloseTo(0, 5);
});

test('what tells prompts apart, but not the answers to one, is worth nothing within a prompt', () => {
  const rows = [answer(true, 5, 'a', 'p'), answer(false, 5, 'a', 'p'), answer(true, 9, 'a', 'q')];
  expect(areaWithinPrompts(rows)).toEqual({ prompts: 1, area: 0.5 });
  expect(areaWithinPrompts(rows.slice(1))).toBeNull();
});

test('the calibration moves the threshold between both kinds, however many there are of each', () => {
  const rows = [
    ...Array.from({ length: 90 }, (_, i) => answer(false, 3 + (i % 5) / 10)),
    ...Array.from({ length: 10 }, (_, i) => answer(true, 4 + (i % 5) / 10)),
  ];
  const { slope, offset } = calibrationOf(rows);
  expect(slope * 3.4 + offset).toBeLessThan(0);
  expect(slope * 4 + offset).toBeGreaterThan(0);
});

describe('pairs', () => {
  test('are ordered by the judge, and by length for comparison', () => {
    const rows = [pair('1', true, false), pair('2', true, true), pair('3', false, false), pair('4', true, false)];
    expect(pairFigures(rows)).toEqual({
      'held-out pairs': 4,
      'pairs ordered right, %': 75,
      // The shorter answer is right in three of four.
      'pairs that length alone orders right, %': 75,
      'a (4): pairs ordered right, %': 75,
    });
  });

  test('leave a judge unused that length alone would replace', () => {
    const many = (right: (i: number) => boolean) =>
      Array.from({ length: 200 }, (_, i) => pair(String(i % 50), right(i), i % 5 < 3));
    expect(whyUnused(many((i) => i % 10 !== 0))).toBeNull();
    expect(whyUnused(many((i) => i % 5 < 3))).toMatch(/length alone/);
    expect(whyUnused(many((i) => i % 2 === 0))).toMatch(/length alone/);
  });
});
