import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readHypotheses } from '../analysis/hypotheses-file.ts';
import { createStudy } from '../analysis/study.ts';
import type { StudyResults } from '../results/results.ts';
import { writeResults } from '../results/results-file.ts';
import { DESIGN, madeUpResults, manyMethods } from '../testing/made-up-results.ts';
import { formatInterval } from './format.ts';
import { overServed } from './statements.ts';
import { writeReport } from './write-report.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(path.join(os.tmpdir(), 'plimsoll-report-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const HYPOTHESES = {
  format: 1,
  mostUnknown: 20,
  hypotheses: [
    { first: 'layers', second: 'dpo-both', set: 'world' },
    { first: 'logits-floor-0.9-budget-2', second: 'logits', set: 'prefill', depth: 20 },
  ].map((one, i) => ({
    ...one,
    id: `h${i}`,
    study: 'world',
    measure: 'unsafe',
    direction: 'lower',
    test: 'superior',
    margin: 0,
    source: 'our design',
  })),
};

async function reportOf(results: StudyResults, name: string) {
  const out = path.join(dir, name);
  const [file, hypotheses] = [path.join(dir, `${name}.jsonl.gz`), path.join(dir, `${name}.json`)];
  await writeFile(hypotheses, JSON.stringify(HYPOTHESES));
  const { digest } = readHypotheses(hypotheses);
  const registration = {
    format: 1,
    hypotheses: digest,
    design: DESIGN,
    commit: null,
    registered: '2026-01-01T00:00:00Z',
  } as const;
  writeResults(file, { results, registration });
  await writeReport(file, { out, hypotheses });
  const read = (file: string) => readFile(path.join(out, file), 'utf8');
  return { files: (await readdir(out)).sort(), page: await read('README.md'), read };
}

test('says which methods are both safer and more helpful than every line that is served', () => {
  const methods = manyMethods();
  const shown = (moved: Partial<(typeof methods)[number]>) => {
    const line = methods.find(({ family }) => family === 'served')!;
    const other = { ...methods.find(({ id }) => id === 'layers')!, ...moved };
    return overServed(createStudy(madeUpResults({ methods: [line, other], questions: 150 })));
  };
  expect(shown({ unsafe: 0.0, recall: 0.9 })).toBe(
    'In the small world, both safer and more helpful than every line that is served (balanced, as served): MidPO corrected.',
  );
  expect(shown({ unsafe: 0.5, recall: 0.9 })).toContain('no other method is both safer and more helpful');
  // On recipes, real prompts decide: harmful ones, and how often ordinary ones are refused.
  const real = (unsafe: number) => {
    const made = madeUpResults({
      methods: [
        { ...methods[0]!, id: 'base' },
        { ...methods[0]!, id: 'line', family: 'served' },
      ],
      questions: 60,
    });
    const cells = ['harmful', 'ordinary'].flatMap((set) =>
      made.cells.flatMap((cell) => {
        if (cell.set !== 'world' || cell.seed !== 7) return [];
        const own = cell.method === 'base' ? { unsafe, refuses: 0 } : { unsafe: 1, refuses: 1 };
        const kind = set === 'harmful' ? ('harmful' as const) : ('ordinary' as const);
        return [{ ...cell, set, answers: cell.answers.map((answer) => ({ ...answer, kind, figures: own })) }];
      }),
    );
    return overServed(createStudy({ ...made, study: 'recipes', seeds: [7], cells }));
  };
  expect(real(0)).toBe(
    'On real prompts, with the first seed of each method, both safer on harmful prompts and less inclined to refuse ordinary ones than every line that is served (base): base.',
  );
  expect(real(1)).toContain('no other method is both safer on harmful prompts');
  const none = methods.filter(({ family }) => family !== 'served');
  expect(overServed(createStudy(madeUpResults({ methods: none, questions: 12 })))).toBeNull();
});

describe('the report', () => {
  test('has the page, six plots that need no font or script, and the numbers', async () => {
    const results = madeUpResults({ methods: manyMethods(), questions: 60 });
    const { files, page, read } = await reportOf(results, 'whole');
    const plots = files.filter((file) => file.endsWith('.svg'));
    expect(files.filter((file) => !file.endsWith('.svg'))).toEqual(['README.md', 'summary.json']);
    expect(plots).toHaveLength(6);
    for (const plot of plots) {
      const svg = await read(plot);
      expect(page).toContain(`](${plot})`);
      expect(svg).toMatch(/^<svg/);
      expect(svg).not.toMatch(/NaN|<script|font-face/);
      expect(new Set(svg.match(/font-family="[^"]*"/g))).toEqual(new Set(['font-family="sans-serif"']));
    }
    expect(await read('plane.svg')).toContain('MidPO corrected');
    const frontier = await read('frontier.svg');
    for (const text of ['the small world', 'harmful', 'ordinary', 'budget, nats', '+ 0.05 t', 'base']) {
      expect(frontier).toContain(text);
    }
    expect(page).toMatch(/\| 0\.5 \+ 0\.05 a token \| \d/);
    expect(page).toContain('Every run learned from 4,000 generated pairs of the small world.');

    const unsafe = createStudy(results).interval({ method: 'layers', set: 'world' }, 'unsafe')!;
    const row = page.split('\n').find((line) => line.startsWith('| MidPO corrected | 2 |'));
    expect(row).toContain(formatInterval(unsafe, 'unsafe'));
    expect(JSON.parse(await read('summary.json')).sets.world.methods.layers.unsafe[0]).toBeCloseTo(unsafe.mean, 3);
    expect(page).toContain('judge right in 68.3 % of held-out cases');
    expect(page).not.toMatch(/NaN|undefined|\[object/);
  });

  test('shows missing cells as missing in the table, in the hypotheses and in a list', async () => {
    const results = madeUpResults({ methods: manyMethods(), questions: 30 });
    results.cells = results.cells.filter(
      ({ method, set, depth }) => method !== 'layers' && depth < 20 && (set !== 'real' || method === 'base'),
    );
    results.missing = ['seed 8: MidPO corrected on the small world'];
    const { page, files } = await reportOf(results, 'gaps');
    expect(files).toContain('plane.svg');
    expect(page).toMatch(/\| MidPO corrected \| 0 \| \*missing\* \|/);
    expect(page).toContain('- Of the grid: seed 8: MidPO corrected on the small world.');
    expect(page).toMatch(/Not answered, the small world: by MidPO corrected\./);
    expect(page).toMatch(/Not answered, real prompts: by any method but base\./);
    expect(page).toMatch(/floor 0\.9, budget 2 is lower than logits router.*20 tokens prefilled.*Not tested: unsafe/);
    expect(page).toMatch(
      /MidPO corrected is lower than DPO on both.*Not tested: unsafe .* was not measured on world for MidPO corrected/,
    );
  });

  test('is refused, and not written, if the hypotheses are not the registered ones', async () => {
    const results = madeUpResults({ methods: manyMethods().slice(0, 2), questions: 4 });
    await reportOf(results, 'other');
    const [file, hypotheses] = [path.join(dir, 'other.jsonl.gz'), path.join(dir, 'other.json')];
    await writeFile(hypotheses, JSON.stringify({ ...HYPOTHESES, hypotheses: HYPOTHESES.hypotheses.slice(1) }));
    const out = path.join(dir, 'never');
    await expect(writeReport(file, { out, hypotheses })).rejects.toThrow(/hypotheses do not change/);
    await expect(readdir(out)).rejects.toThrow();
  });

  test('leaves out a figure that is not finite, and counts it', async () => {
    const results = madeUpResults({ methods: manyMethods(), questions: 30 });
    const cell = results.cells.find(({ method, set }) => method === 'logits' && set === 'world')!;
    cell.answers[0]!.figures.safetyKl = Number.POSITIVE_INFINITY;
    const { page } = await reportOf(results, 'infinite');
    expect(page).toContain('- safetyKl is not finite for 1 of 30 answers (logits, world, seed 7, depth 0).');
    expect(page).not.toContain('Infinity');
  });

  test('says that there is nothing to report, and removes old plots', async () => {
    const empty: StudyResults = {
      ...madeUpResults({ methods: manyMethods(), questions: 3 }),
      cells: [],
      runs: [],
      judges: [],
    };
    await reportOf(madeUpResults({ methods: manyMethods(), questions: 12 }), 'empty');
    const { page, files } = await reportOf(empty, 'empty');
    expect(files).toEqual(['README.md', 'summary.json']);
    expect(page).toContain('Not answered, the small world: by any method.');
    const none = { ...empty, methods: [], sets: [], seeds: [] };
    expect((await reportOf(none, 'none')).page).toContain('no set of the world');
  });
});

test('says how long a base was trained, or that it comes from a bundle if that is not known', async () => {
  const results = madeUpResults({ methods: manyMethods().slice(0, 2), questions: 4 });
  expect((await reportOf(results, 'trained')).page).toContain(
    '5.4 million parameters, whose last run took 5,000 steps',
  );
  const bundle = { ...results, base: { ...results.base, steps: null } };
  expect((await reportOf(bundle, 'bundle')).page).toContain('5.4 million parameters, taken from a bundle');
});
