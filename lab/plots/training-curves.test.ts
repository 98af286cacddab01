import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { renderSvg } from './render.ts';
import { curvesPage, readCurves, trainingCurves } from './training-curves.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-curves-'));
});
afterAll(() => rm(dir, { recursive: true }));

const steps = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ step: i + 1, loss: 2 - i / count, learningRate: 1e-3, norm: 1 }));
const panels = (spec: object) =>
  (spec as { concat: { title: { text: string }; data: { values: { value: number }[] } }[] }).concat;

test('draws one panel for each figure that a run has, and a page around them', async () => {
  const rows = [...steps(3), { step: 3, heldOutLoss: 1.5 }];
  const spec = trainingCurves([
    { name: 'runs/a', rows },
    { name: 'runs/b', rows: [...rows, { step: 3, heldOutAccuracy: 0.75 }] },
  ]);
  expect(panels(spec).map(({ title }) => title.text)).toEqual([
    'loss, nats',
    'pairs ordered right',
    'learning rate',
    "gradient's norm before clipping",
  ]);
  const svg = await renderSvg(spec);
  for (const text of ['<svg', 'runs/a', 'runs/b', 'held-out', 'learning rate']) expect(svg).toContain(text);
  expect(curvesPage(svg)).toMatch(/^<!doctype html>.*<svg.*<\/svg>\s*<\/html>\n$/s);
});

test('thins long curves out, smooths training figures and leaves exact ones alone', () => {
  const spec = trainingCurves([{ name: 'a', rows: steps(5000) }]);
  const [loss, rate] = panels(spec).map(({ data }) => data.values);
  expect(loss!.length).toBeLessThanOrEqual(501);
  expect(loss!.at(-1)!.value).toBeGreaterThan(steps(5000).at(-1)!.loss);
  expect(new Set(rate!.map(({ value }) => value))).toEqual(new Set([1e-3]));
});

test('a folder without figures is an error', async () => {
  expect(() => readCurves(dir)).toThrow(`${dir}: found no figures, wanted a run with a metrics.jsonl`);
  // A kill may cut the last line off.
  await writeFile(path.join(dir, 'metrics.jsonl'), '{"step":1,"loss":2}\n{"step":2,"lo');
  expect(readCurves(dir).rows).toEqual([{ step: 1, loss: 2 }]);
});
