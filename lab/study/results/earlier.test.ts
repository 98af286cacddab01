import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { createStudy, sharedSeeds } from '../analysis/study.ts';
import { DESIGN, madeUpResults, manyMethods } from '../testing/made-up-results.ts';
import { openEarlier, seedsOfEarlier, withEarlier } from './earlier.ts';
import type { Registration } from './registration.ts';
import type { StudyResults } from './results.ts';
import { writeResults } from './results-file.ts';

const dir = mkdtempSync(path.join(tmpdir(), 'plimsoll-earlier-'));
afterAll(() => rmSync(dir, { recursive: true }));
const registration: Registration = {
  ...{ format: 1, hypotheses: 'a'.repeat(64), design: DESIGN, commit: null },
  registered: '2026-01-01T00:00:00.000Z',
};
const judges = [{ name: 'harm', what: 'reads', figures: { 'accuracy, %': 79.5, 'hand labels: answers': 194 } }];
const results: StudyResults = { ...madeUpResults({ methods: manyMethods(), questions: 4 }), study: 'recipes', judges };

function written(name: string, parts: Partial<StudyResults> = {}, registered: Registration | null = registration) {
  const file = path.join(dir, name);
  writeResults(file, { results: { ...results, ...parts }, registration: registered });
  return file;
}
const earlier = openEarlier(written('results.jsonl.gz'));

describe('an earlier sitting of a study', () => {
  test('says which cells it has measured, and needs its registration', () => {
    const [cell] = results.cells;
    expect(earlier.measured(cell!)).toBe(true);
    expect(earlier.measured({ ...cell!, depth: 99 })).toBe(false);
    expect(() => openEarlier(written('bare.jsonl.gz', {}, null))).toThrow(/bare\.jsonl\.gz: .*not registered/);
    expect(() => openEarlier(written('world.jsonl.gz', { study: 'world' }))).toThrow(/of the small world/);
  });

  test('takes only the very recipes that its seeds learned from', () => {
    const [one, two] = DESIGN.seeds;
    const recipe = { ...two!, dir: 'runs/two' };
    expect(seedsOfEarlier(earlier, [recipe], { retrained: false })).toEqual([
      { ...one, recipe: null },
      { ...two, recipe },
    ]);
    expect(() => seedsOfEarlier(earlier, [{ ...recipe, from: 'another' }], { retrained: false })).toThrow(
      /runs\/two: found a recipe of seed 8 with the digest another, .* was measured with two/,
    );
    expect(() => seedsOfEarlier(earlier, [{ ...recipe, seed: 4 }], { retrained: true })).toThrow(/no such seed/);
  });

  test('takes a recipe that was trained again where that may be, and says which cells are its', () => {
    const [one, two] = DESIGN.seeds;
    const recipe = { ...two!, from: 'another', dir: 'runs/two' };
    expect(seedsOfEarlier(earlier, [recipe], { retrained: true })).toEqual([
      { ...one, recipe: null },
      { ...two, recipe },
    ]);
    const digests = new Map([[8, 'another']]);
    const ids = ['layers', 'dpo-both', 'base'];
    const seedOfAll = results.cells.find(({ method }) => method === 'layers')!.seed;
    const cells = ids.map((id) => ({ ...results.cells.find(({ method }) => method === id)!, seed: 8, depth: 5 }));
    const [layers, dpo, base] = cells;
    const none: StudyResults = { ...results, cells: [] };
    const first = withEarlier({ ...none, cells: [dpo!, base!] }, { ...earlier, results: none });
    const both = withEarlier({ ...none, cells: [layers!] }, { ...earlier, results: first }, digests);
    expect(both.retrained).toEqual([
      { seed: 8, digest: 'another', cells: [{ method: 'layers', set: layers!.set, depth: 5 }] },
    ]);
    const file = written('again.jsonl.gz', both);
    const study = createStudy({ ...openEarlier(file).results, seeds: [seedOfAll, 8] });
    const shared = (...methods: string[]) => sharedSeeds(study, { methods, set: layers!.set, depth: 5 });
    expect(shared('layers')).toEqual([8]);
    expect(shared('layers', 'dpo-both')).toEqual([]);
    // The base was not trained, so it goes with either.
    const untrained = study.results.methods.map((method) =>
      method.id === 'base' ? { ...method, trainedTokens: 0 } : { ...method, trainedTokens: 9 },
    );
    const asTrained = createStudy({ ...study.results, methods: untrained });
    expect(sharedSeeds(asTrained, { methods: ['layers', 'base'], set: layers!.set, depth: 5 })).toEqual([8]);
    expect(sharedSeeds(asTrained, { methods: ['dpo-both', 'base'], set: layers!.set, depth: 5 })).toEqual([8]);
  });

  test('keeps its cells, runs and hand labels beside what came later', () => {
    const [cell] = results.cells;
    const later: StudyResults = {
      ...results,
      cells: [{ ...cell!, depth: 5 }],
      judges: [{ ...judges[0]!, figures: { 'accuracy, %': 79.500_01 } }],
      runs: [...results.runs, { name: 'dpo-safety', seed: 99, steps: 1, tokens: 1, seconds: 10, heldOut: {} }],
      missing: ['what is missing now'],
    };
    const both = withEarlier(later, earlier);
    expect(both.cells.map(({ depth }) => depth)).toEqual([...earlier.results.cells.map(({ depth }) => depth), 5]);
    expect(both.runs).toHaveLength(earlier.results.runs.length + 1);
    expect(both.seconds.training).toBe(earlier.results.seconds.training + 10);
    expect(both.judges[0]!.figures).toEqual(judges[0]!.figures);
    expect(both.missing).toEqual(['what is missing now']);
    const planned = { ...earlier.results.methods[0]!, id: 'planned', trainedTokens: 9 };
    const before = { ...earlier, results: { ...earlier.results, methods: [...earlier.results.methods, planned] } };
    const now = { ...later, methods: [...later.methods, { ...planned, trainedTokens: 0 }] };
    expect(withEarlier(now, before).methods.at(-1)).toMatchObject({ id: 'planned', trainedTokens: 0 });
  });

  test('is refused where the judges are others', () => {
    const others = [{ ...judges[0]!, figures: { 'accuracy, %': 80 } }];
    expect(() => withEarlier({ ...results, judges: others }, earlier)).toThrow(
      /harm: accuracy, %: found 79\.5, the judges of now have 80/,
    );
  });
});
