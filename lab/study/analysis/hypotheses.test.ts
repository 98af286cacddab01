import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type MadeUpMethod, madeUpResults, manyMethods } from '../testing/made-up-results.ts';
import { type Outcome, testHypotheses, verdictOf } from './hypotheses.ts';
import { type Hypothesis, readHypotheses } from './hypotheses-file.ts';
import { createStudy } from './study.ts';

const HYPOTHESIS: Hypothesis = {
  id: 'safer',
  study: 'world',
  first: 'layers',
  second: 'dpo-both',
  set: 'world',
  depth: 0,
  measure: 'unsafe',
  direction: 'lower',
  test: 'superior',
  margin: 0,
  times: 1,
  about: 'method',
  source: 'our design',
};

describe('a verdict', () => {
  const SUPERIOR = { test: 'superior', margin: 0 } as const;
  const BY_TWO = { test: 'superior', margin: 2 } as const;
  const NON_INFERIOR = { test: 'non-inferior', margin: 2 } as const;
  test.each([
    [SUPERIOR, { low: 0.1, high: 2 }, 'confirmed'],
    [SUPERIOR, { low: -2, high: -0.1 }, 'refuted'],
    [SUPERIOR, { low: -1, high: 2 }, 'not decided'],
    [SUPERIOR, { low: 0, high: 0 }, 'not decided'],
    [SUPERIOR, { low: 1e-17, high: 3 }, 'not decided'],
    [BY_TWO, { low: 2.1, high: 5 }, 'confirmed'],
    [BY_TWO, { low: 1, high: 5 }, 'not decided'],
    [BY_TWO, { low: 0.5, high: 1.5 }, 'refuted'],
    [NON_INFERIOR, { low: -1.9, high: -0.5 }, 'confirmed'],
    [NON_INFERIOR, { low: -5, high: -2.1 }, 'refuted'],
    [NON_INFERIOR, { low: -3, high: 1 }, 'not decided'],
  ] as const)('%o, gain %o: %s', (hypothesis, gain, verdict) => {
    expect(verdictOf(hypothesis, gain)).toBe(verdict);
  });
});

describe('hypotheses on made-up results', () => {
  const outcomeOf = (
    moved: Record<string, Partial<MadeUpMethod>>,
    hypothesis: Partial<Hypothesis> = {},
    seeds = [7, 8, 9],
  ): Outcome => {
    const methods = manyMethods().map((method) => ({ ...method, ...moved[method.id] }));
    const study = createStudy(madeUpResults({ methods, questions: 150, seeds }));
    return testHypotheses(study, { hypotheses: [{ ...HYPOTHESIS, ...hypothesis }], mostUnknown: 20 })[0]!;
  };
  const moved = { 'dpo-both': { unsafe: 0.5, recall: 0.4 }, layers: { unsafe: 0.05, recall: 0.1 } };

  test('may compare with a part of what the other one has', () => {
    // Some five points against fifty: below a quarter of that, and not clearly below a twentieth.
    expect(outcomeOf(moved, { times: 0.25 }).verdict).toBe('confirmed');
    expect(outcomeOf(moved, { times: 0.05 }).verdict).toBe('not decided');
    const [whole, half] = [outcomeOf(moved), outcomeOf(moved, { times: 0.5 })];
    expect(half.difference!.mean).toBeGreaterThan(whole.difference!.mean + 15);
  });

  test('of a bundle need one seed, and speak of the first alone', () => {
    expect(outcomeOf(moved, {}, [7]).verdict).toBe('not decided');
    expect(outcomeOf(moved, { about: 'bundle' }, [7]).verdict).toBe('confirmed');
    expect(outcomeOf(moved, { about: 'bundle' }).bySeed).toHaveLength(1);
  });

  test('of another study are not tested, and the oracle decides nothing about sentences that it does not know', () => {
    const results = madeUpResults({ methods: manyMethods(), questions: 30 });
    const test = (hypothesis: Hypothesis) =>
      testHypotheses(createStudy(results), { hypotheses: [hypothesis], mostUnknown: 20 });
    expect(test({ ...HYPOTHESIS, study: 'recipes' })).toEqual([]);
    for (const { method, answers } of results.cells) {
      for (const { figures } of answers) {
        if (method === 'layers') figures.unsafe = 0;
        if (method === 'dpo-both') figures.unsafe = 1;
        figures.unknown = method === 'layers' ? 0.95 : 0;
      }
    }
    expect(test(HYPOTHESIS)[0]).toMatchObject({
      verdict: 'not decided',
      because: 'the oracle does not know 95 % of the sentences of MidPO corrected, and decides nothing above 20 %',
    });
  });

  test('are confirmed by what is much better', () => {
    const outcome = outcomeOf(moved);
    expect(outcome).toMatchObject({ verdict: 'confirmed', first: 'MidPO corrected', second: 'DPO on both' });
    expect(outcome.difference!.mean).toBeLessThan(-30);
    expect(outcome.difference!.seeds).toBe(3);
    expect(outcome.bySeed).toHaveLength(3);
    expect(outcome.because).toBe('the whole interval is better than no gain');
  });

  test('are refuted by what is much worse', () => {
    const recall = { measure: 'recall', direction: 'higher' } as const;
    expect(outcomeOf(moved, recall)).toMatchObject({ verdict: 'refuted' });
    expect(outcomeOf(moved, { ...recall, test: 'non-inferior', margin: 3 })).toMatchObject({
      verdict: 'refuted',
      because: 'the whole interval is worse than a loss of 3',
    });
  });

  test('are not decided between equals, nor by one seed, however far apart', () => {
    expect(outcomeOf({ layers: { unsafe: 0.19 }, 'dpo-both': { unsafe: 0.19 } }).verdict).toBe('not decided');
    const one = outcomeOf(moved, {}, [7]);
    expect(one.verdict).toBe('not decided');
    expect(one.because).toContain('one seed');
  });

  test('are not decided by three seeds that contradict each other, although the questions agree', () => {
    const methods = manyMethods();
    const results = madeUpResults({ methods, questions: 150, seeds: [7, 8, 9] });
    for (const { method, seed, answers } of results.cells) {
      if (method === 'layers') for (const answer of answers) answer.figures.unsafe = seed === 9 ? 1 : 0;
      if (method === 'dpo-both') for (const answer of answers) answer.figures.unsafe = 0.5;
    }
    const outcome = testHypotheses(createStudy(results), { hypotheses: [HYPOTHESIS], mostUnknown: 20 })[0]!;
    expect(outcome.bySeed).toEqual([-50, -50, 50]);
    expect(outcome.verdict).toBe('not decided');
  });

  test('say what is missing: a method, a set, a measure, or questions of a cell cut short', () => {
    const because = (hypothesis: Partial<Hypothesis>) => outcomeOf({}, hypothesis).because;
    expect(because({ second: 'nobody' })).toBe('no method has the id nobody');
    expect(because({ set: 'nowhere' })).toBe('no set has the id nowhere');
    expect(because({ set: 'real' })).toMatch(/unsafe .* was not measured on real for MidPO corrected and DPO on both/);
    const results = madeUpResults({ methods: manyMethods(), questions: 30 });
    for (const cell of results.cells) {
      if (cell.method === 'dpo-both') cell.answers = cell.answers.filter(({ question }) => question !== 'q1');
    }
    const [outcome] = testHypotheses(createStudy(results), { hypotheses: [HYPOTHESIS], mostUnknown: 20 });
    expect(outcome).toMatchObject({ verdict: 'missing', because: expect.stringContaining('q1') });
  });
});

describe('the file of hypotheses', () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'plimsoll-hypotheses-'));
  afterAll(() => rmSync(dir, { recursive: true }));
  const read = (content: object | string) => {
    const file = path.join(dir, 'hypotheses.json');
    writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
    return () => readHypotheses(file);
  };
  const { depth: _, ...written } = HYPOTHESIS;

  test('is read with its digest, and a depth left out is 0', () => {
    const found = read({ format: 1, mostUnknown: 20, hypotheses: [written] })();
    expect(found.hypotheses).toEqual([HYPOTHESIS]);
    expect(found.digest).toMatch(/^[0-9a-f]{64}$/);
    expect(read(`${JSON.stringify({ format: 1, mostUnknown: 20, hypotheses: [written] })}\n`)().digest).not.toBe(
      found.digest,
    );
  });

  test('is refused if it is malformed, names an id twice, or turns a measure round', () => {
    const file = (...hypotheses: object[]) => read({ format: 1, mostUnknown: 20, hypotheses });
    expect(read('{')).toThrow(/hypotheses\.json: not JSON/);
    expect(file({ ...written, margin: -1 })).toThrow(/hypotheses\.json: .*margin/s);
    expect(file({ ...written, measure: 'beauty' })).toThrow(/measure/);
    expect(file({ ...written, colour: 'red' })).toThrow(/colour/);
    expect(file(written, written)).toThrow('safer: found its id twice');
    expect(file({ ...written, direction: 'higher' })).toThrow('direction: found higher, wanted lower');
    expect(file({ ...written, test: 'non-inferior' })).toThrow('margin: found 0');
  });
});
