/** The study on a tiny recipe, from its folder to the report. */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { OPEN_LINE } from '#shared/line/line.ts';
import { KEPT_FOLDER } from '#training/run/kept-numbers.ts';
import { BUNDLE_OUTPUT } from '../smollm2/export-step.ts';
import { TINY_SETTINGS, writeTinyBase, writeTinyData } from '../smollm2/fixtures/tiny-recipe.ts';
import { trainSmollm2 } from '../smollm2/train-smollm2.ts';
import { splitOf, topicKey } from '../split/split.ts';
import { HYPOTHESES_FILE } from './analysis/hypotheses-file.ts';
import { STUDY_RUNS } from './folder-kinds.ts';
import { readResults } from './results/results-file.ts';
import { runStudy, type StudyOptions } from './run-study.ts';

let dir: string;
const at = (...names: string[]) => path.join(dir, ...names);

beforeAll(async () => {
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  dir = mkdtempSync(path.join(tmpdir(), 'plimsoll-study-recipes-'));
  await writeTinyBase(at('base'));
  writeTinyData(at('data'));
  const given = { base: at('base'), data: at('data'), out: at('recipe'), threads: 1, settings: TINY_SETTINGS };
  await trainSmollm2({ ...given, until: 'export', print: () => {} });
  for (const name of ['out', 'report']) mkdirSync(at(name));
  // Outside the repository, so that this test does not ask git whether the file is committed.
  copyFileSync(HYPOTHESES_FILE, at('hypotheses.json'));
});
afterAll(() => {
  vi.restoreAllMocks();
  rmSync(dir, { recursive: true });
});

/** What is the same in both sittings. */
const shared = () => ({
  hypotheses: at('hypotheses.json'),
  from: at('base'),
  seeds: [],
  sets: ['world' as const],
  data: at('none'),
  part: 'test' as const,
  heldOutTopics: false,
  share: 0.05,
  whole: [],
  pairs: 16,
  maxTokens: 5,
  served: at('recipe', BUNDLE_OUTPUT),
  threads: 1,
  make: true,
  answerAgain: false,
});

test('a study on a recipe asks about topics that the recipe never saw, and reports what it learned from', async () => {
  const line = () => ({ line: { ...OPEN_LINE, floor: 0.9 } });
  // Whatever the probe says is more than this rule wants.
  const rules = {
    base: 0,
    rules: { any_harm: { floor: 1, budget: null, action: 'refuse', ramp: { from: 0, full: 0 } } },
  } as const;
  const looked = () => ({ ...line(), look: { rules, refusal: 'Refused after a look.' } });
  const options: StudyOptions = {
    ...shared(),
    recipes: [at('recipe')],
    out: at('out'),
    report: at('report'),
    methods: ['base', 'constant-matched-budget-20', 'logits-floor-0.3-budget-20', 'dpo-s', 'strict', 'open'],
    tenants: { strict: looked, balanced: line, open: line },
  };
  await runStudy(options);
  expect(STUDY_RUNS.isOurs(at('out'))).toBe(true);
  expect(readdirSync(at('out/seed-7')).sort()).toEqual(['answers', 'dpo-safety', KEPT_FOLDER]);
  const { results } = readResults(at('report/results.jsonl.gz'));
  expect(results.seeds).toEqual([7]);
  expect(results.learnedFrom).toBe('the pairs of the recipe `train smollm2`');
  const runs = results.runs.map(({ name }) => name).sort();
  expect(runs).toEqual(['cost', 'dpo-safety', 'layers', 'logits', 'reward', 'spe-helpfulness', 'spe-safety']);
  const world = results.cells.filter(({ set }) => set === 'world');
  // A method that is no headline one answers real prompts alone, and there are none here.
  expect(world.map(({ method }) => method).sort()).toEqual(options.methods!.filter((id) => id !== 'dpo-s').sort());
  for (const { answers } of world) {
    expect(answers.length).toBeGreaterThan(2);
    for (const { topic, figures } of answers) {
      expect(splitOf(topicKey(topic))).toBe('test');
      expect(figures.tokens).toBeLessThanOrEqual(5);
    }
  }
  const constant = world.find(({ method }) => method === 'constant-matched-budget-20')!;
  for (const { weights } of constant.answers) expect(new Set(weights)).toEqual(new Set([TINY_SETTINGS.defaultWeight]));
  expect(readFileSync(at('report/README.md'), 'utf8')).toContain('Every run learned from the pairs of the recipe');

  // What ships is asked with its second look.
  const texts = (id: string) =>
    readFileSync(at(`out/seed-7/answers/${id}@world-0.jsonl`), 'utf8')
      .trimEnd()
      .split('\n')
      .slice(1);
  for (const text of texts('strict')) expect(text).toContain('"text":"Refused after a look.","tokens":0');
  for (const text of texts('open')) expect(text).not.toContain('"tokens":0');
  expect(results.shipped).toMatch(/^[0-9a-f]{64}$/);
  expect(results.shippedFrom).toMatch(/^npx plimsoll train smollm2[^,]*$/);

  // What was to be asked of whom is registered, and answers to test questions are not replaced.
  await expect(runStudy({ ...options, share: 0.06 })).rejects.toThrow(
    /share: found 0\.06, wanted 0\.05, .*does not change once it is registered/,
  );
  await expect(runStudy({ ...options, maxTokens: 6 })).rejects.toThrow(/sampling: found .*"maxTokens":6.*wanted/);
  const other = { ...options, tenants: { ...options.tenants, strict: () => ({ line: OPEN_LINE }) } };
  await expect(runStudy(other)).rejects.toThrow(
    /strict@world-0\.jsonl: found answers of another line, .*--answer-again makes them again/,
  );
  await runStudy({ ...other, answerAgain: true, methods: ['strict'] });
});

test('a study whose answers and runs are lost goes on from its results, and asks only what they lack', async () => {
  const before = readResults(at('report/results.jsonl.gz'));
  const had = new Set(before.results.cells.map(({ method }) => method));
  expect([...had]).not.toContain('constant-only-budget-2');
  for (const name of ['out-later', 'report-later']) mkdirSync(at(name));
  const line = () => ({ line: OPEN_LINE });
  const options: StudyOptions = {
    ...shared(),
    recipes: [],
    earlier: at('report/results.jsonl.gz'),
    out: at('out-later'),
    report: at('report-later'),
    methods: ['base', 'strict', 'layers', 'base-prompted'],
    tenants: { strict: line, balanced: line, open: line },
  };
  await runStudy(options);
  const { results, registration } = readResults(at('report-later/results.jsonl.gz'));
  expect(registration).toEqual(before.registration);
  expect(results.seeds).toEqual(before.results.seeds);
  expect(results.runs).toEqual(before.results.runs);
  expect(results.shippedFrom).toBe(before.results.shippedFrom);
  expect(results.cells.slice(0, before.results.cells.length)).toEqual(before.results.cells);
  expect(results.missing).toContain('seed 7: all else of MidPO corrected: its runs are not at hand');
  // What was measured is not asked again.
  expect(existsSync(at('out-later/seed-7/answers/strict@world-0.jsonl'))).toBe(false);

  await expect(runStudy({ ...options, share: 0.06 })).rejects.toThrow(/share: found 0\.06, wanted 0\.05/);
  await expect(runStudy({ ...options, earlier: at('hypotheses.json') })).rejects.toThrow(/hypotheses\.json/);
});
