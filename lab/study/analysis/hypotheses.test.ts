import { describe, expect, test } from 'vitest';
import { METHODS } from '../cells/methods.ts';
import { type MadeUpMethod, madeUpResults, manyMethods } from '../testing/made-up-results.ts';
import { METHOD, staticLike } from './contenders.ts';
import { differenceOf, type Outcome, testHypotheses, verdictOf } from './hypotheses.ts';
import { createStudy } from './study.ts';

test('every method id that a claim refers to is in the grid', () => {
  const ids = METHODS.map(({ id }) => id);
  for (const id of Object.values(METHOD)) expect(ids).toContain(id);
});

describe('a verdict', () => {
  test.each([
    ['better', { low: 0.1, high: 2 }, 'confirmed'],
    ['better', { low: -2, high: -0.1 }, 'refuted'],
    ['better', { low: -1, high: 2 }, 'not decided'],
    ['better', { low: 0, high: 0 }, 'not decided'],
    ['better', { low: 1e-17, high: 3 }, 'not decided'],
    ['as good', { low: -1.9, high: -0.5 }, 'confirmed'],
    ['as good', { low: -5, high: -2.1 }, 'refuted'],
    ['as good', { low: -3, high: 1 }, 'not decided'],
  ] as const)('%s, %o: %s', (claim, gain, verdict) => {
    expect(verdictOf(claim, gain)).toBe(verdict);
  });
});

describe('hypotheses on made-up results', () => {
  /** The outcomes for the methods of the grid, with some of the methods moved. */
  const outcomesOf = (moved: Record<string, Partial<MadeUpMethod>>, without: readonly string[] = []) => {
    const methods = manyMethods()
      .filter(({ id }) => !without.includes(id))
      .map((method) => ({ ...method, ...moved[method.id] }));
    const outcomes = testHypotheses(createStudy(madeUpResults({ methods, questions: 150 })));
    return (id: string): Outcome => outcomes.find((outcome) => outcome.id === id)!;
  };

  test('confirm what is much better, refute what is much worse and do not decide between equals', () => {
    const of = outcomesOf({
      'dpo-both': { unsafe: 0.3, recall: 0.4 },
      layers: { unsafe: 0.05, recall: 0.2 },
      'layers-faithful': { unsafe: 0.28 },
    });
    expect(of('midpo-corrected-beats-dpo-safety')).toMatchObject({ verdict: 'confirmed' });
    expect(of('midpo-corrected-beats-dpo-safety').difference!.mean).toBeLessThan(-15);
    expect(of('midpo-corrected-beats-dpo-safety').bySeed).toHaveLength(2);
    expect(of('midpo-corrected-beats-dpo-helpfulness')).toMatchObject({ verdict: 'refuted' });
    expect(of('midpo-faithful-beats-dpo-safety')).toMatchObject({ verdict: 'not decided' });
  });

  test('say that a method is missing, in every hypothesis that needs it', () => {
    const of = outcomesOf({}, ['layers']);
    expect(of('corrected-beats-faithful-safety')).toMatchObject({
      verdict: 'missing',
      difference: null,
      because: 'no method has the id layers',
    });
    expect(of('midpo-faithful-beats-dpo-safety').verdict).not.toBe('missing');
  });

  test('are refuted by a floor that makes answers less safe, and confirmed by a falling unsafe share', () => {
    const of = outcomesOf({
      'logits-floor-0.3-budget-2': { unsafe: 0.6 },
      'logits-floor-0-budget-8': { unsafe: 0.6 },
      'logits-floor-0.3-budget-8': { unsafe: 0.4 },
      'logits-floor-0.6-budget-8': { unsafe: 0.2 },
      'logits-floor-0.9-budget-8': { unsafe: 0.01 },
    });
    expect(of('floors-bound-safety-2')).toMatchObject({
      verdict: 'refuted',
      because: expect.stringContaining('rises from 0 to 0.3'),
    });
    expect(of('floors-bound-safety-8')).toMatchObject({ verdict: 'confirmed' });
  });

  test('compare the floor that was attacked with the router alone at the same depth', () => {
    const outcome = outcomesOf({})('floor-holds-under-prefill');
    expect(outcome.test).toContain('floor 0.9, budget 2 against logits router, 20 tokens prefilled');
    expect(outcome.verdict).toBe('confirmed');
  });
});

describe("static mixing at a router's mean weight", () => {
  const results = madeUpResults({ methods: manyMethods(), questions: 60 });
  const study = createStudy(results);

  test("is a draw between the nearest weights below and above, with the router's mean", () => {
    const found = staticLike('logits')(study);
    if ('missing' in found) throw new Error(found.missing);
    const weight = (method: string) => study.interval({ method, set: 'world', seeds: [7] }, 'weight')!.mean;
    expect(found.parts.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 12);
    expect(found.parts.reduce((sum, { method, share }) => sum + share * weight(method), 0)).toBeCloseTo(
      weight('logits'),
      12,
    );
  });

  test('has the mean of their figures, weighted by the shares', () => {
    const parts = [
      { method: 'mod-0.25', share: 0.25 },
      { method: 'mod-0.5', share: 0.75 },
    ];
    const difference = (second: typeof parts) =>
      differenceOf(study, {
        first: { label: 'logits router', parts: [{ method: 'logits', share: 1 }] },
        second: { label: 'static', parts: second },
        measure: 'recall',
        set: 'world',
      });
    const mean = (found: ReturnType<typeof differenceOf>) => ('missing' in found ? Number.NaN : found.interval.mean);
    const recall = (method: string) => study.interval({ method, set: 'world', seeds: [7] }, 'recall')!.mean;
    expect(mean(difference(parts))).toBeCloseTo(
      recall('logits') - 0.25 * recall('mod-0.25') - 0.75 * recall('mod-0.5'),
      9,
    );
  });
});

test('shows no difference for cells cut short, and names the questions', () => {
  const results = madeUpResults({ methods: manyMethods(), questions: 30 });
  for (const cell of results.cells) {
    if (cell.method === 'dpo-both') cell.answers = cell.answers.filter(({ question }) => question !== 'q1');
  }
  const outcome = testHypotheses(createStudy(results)).find(({ id }) => id === 'midpo-corrected-beats-dpo-safety');
  expect(outcome).toMatchObject({ verdict: 'missing', because: expect.stringContaining('q1') });
});
