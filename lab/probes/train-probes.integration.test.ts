/** The whole training on a tiny bundle: what it writes is a probe that a backend reads. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { windowsOf } from '#gpu-backend/engine/second-look.ts';
import { tinyBundle } from '#gpu-backend/model/fixtures/tiny-bundle.ts';
import { loadBundle, openBundle } from '#gpu-backend/model/load-bundle.ts';
import { askProbe, type Probe } from '#gpu-backend/model/probe.ts';
import { renderRows } from '#gpu-backend/model/render-rows.ts';
import { slowDecoder } from '#gpu-backend/model/testing/slow-decoder.ts';
import { writeBundle } from '#gpu-backend/model/write-bundle.ts';
import { JUDGEMENTS } from '#shared/line/categories.ts';
import { OWN_SOURCE } from '../classifier/licences.ts';
import type { Figures } from './figures.ts';
import { RECIPE } from './recipe.ts';
import { MEASURED, ownRows } from './testing/own-rows.ts';
import { trainOnRows } from './train-probes.ts';

const RECIPE_TINY = { ...RECIPE, windows: [8, 16], firstWindow: 8, l2: [0.01, 0.1], steps: 60, mostTokens: 80 };

let root: string;
let out: string;
let figures: Figures;
beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'train-probes-'));
  out = path.join(root, 'out');
  await writeBundle(path.join(root, 'tiny'), tinyBundle(), { dtype: 'f32' });
  figures = await train(out);
});
afterAll(() => rm(root, { recursive: true }));

const train = async (to: string, row: 'safety' | 'base' = 'safety') =>
  trainOnRows(await openBundle(path.join(root, 'tiny')), ownRows(), {
    ...{ out: to, row, layers: [0, 1], threads: 1, recipe: RECIPE_TINY },
  });

/** The bundle with the probe in it, as somebody would put it there. */
async function probed(): Promise<Probe> {
  const dir = path.join(root, 'probed');
  await cp(path.join(root, 'tiny'), dir, { recursive: true });
  await cp(path.join(out, 'probes'), path.join(dir, 'probes'), { recursive: true });
  const file = path.join(dir, 'plimsoll.json');
  const manifest = JSON.parse(await readFile(file, 'utf8'));
  await writeFile(file, JSON.stringify({ ...manifest, probes: { second_look: { version: figures.version } } }));
  const { probe } = await loadBundle(dir);
  if (probe === null) throw new Error('found no probe in the bundle');
  return probe;
}

test('a bundle takes the probe, which tells new prompts apart as its figures say', async () => {
  const probe = await probed();
  expect(probe.head).toMatchObject({ layers: figures.chosen.layers, pooling: figures.chosen.poolings });
  const bundle = await loadBundle(path.join(root, 'tiny'));
  const harmOf = (text: string) => {
    const { promptIds, looked } = renderRows([{ role: 'user', content: text }], bundle);
    const { states } = slowDecoder(bundle, promptIds, () => ({ safety: 1, helpfulness: 0 }));
    const found = windowsOf(looked!, probe.head.window).map(({ from, to, last }) => {
      const features = probe.head.layers.flatMap((layer) =>
        probe.head.pooling.flatMap((pooling) => {
          const own = pooling === 'last' ? [states[last]!] : states.slice(from, to);
          return Array.from(own[0]![layer]!, (_, k) => own.reduce((sum, s) => sum + s[layer]![k]!, 0) / own.length);
        }),
      );
      return askProbe(probe, Float32Array.from(features))[JUDGEMENTS.indexOf('any_harm')]!;
    });
    return Math.max(...found);
  };
  const tests = ownRows().filter(({ part }) => part === 'test');
  const [unsafe, safe] = [1, 0].map((harm) =>
    tests
      .filter(({ example }) => (example.targets[13] === 1 ? 1 : 0) === harm)
      .map(({ example }) => harmOf(example.text)),
  ) as [number[], number[]];
  expect(Math.min(...unsafe)).toBeGreaterThan(Math.max(...safe));
  expect(figures.labels.at(-1)).toMatchObject({ label: 'any_harm', auc: 1 });
});

test('only sources that may shape the weights are in its provenance', async () => {
  const { head } = await probed();
  expect(head.provenance.data.map(({ name }) => name)).toEqual([OWN_SOURCE]);
  expect(figures.data.map(({ source, train: count, inWeights }) => [source, count > 0, inWeights])).toEqual([
    [MEASURED, false, false],
    [OWN_SOURCE, true, true],
  ]);
});

test('the card says what it says from the figures', async () => {
  expect(JSON.parse(await readFile(path.join(out, 'metrics.json'), 'utf8'))).toEqual(
    JSON.parse(JSON.stringify(figures)),
  );
  const text = await readFile(path.join(out, 'CARD.md'), 'utf8');
  expect(text).toContain(`Version \`${figures.version}\``);
  expect(text).not.toMatch(/undefined|NaN|null/);
});

test('the same prompts give the same probe, and the base alone gives another', async () => {
  expect((await train(out)).version).toBe(figures.version);
  expect((await train(path.join(root, 'base'), 'base')).version).not.toBe(figures.version);
});

test('states of other settings stop it with an error', async () => {
  await expect(train(out, 'base')).rejects.toThrow('settings.json: row: found "safety", wanted "base"');
});
