/**
 * Puts the results of `npm run bench -- engine --out FILE` into docs/performance.md, and draws its
 * plots: `npm run bench:page -- FILE`. By default FILE is the one that the docs keep.
 */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import { renderSvg } from '#lab/plots/render.ts';
import { fillPage, pageParts } from './engine/page.ts';
import { curvePlot, gapPlot } from './engine/plots.ts';
import { readResults } from './engine/results.ts';

const DOCS = path.join(import.meta.dirname, '../docs');
const PAGE = path.join(DOCS, 'performance.md');

const [file = path.join(DOCS, 'performance/results.json')] = process.argv.slice(2);
const results = await readResults(file);
await writeFile(PAGE, fillPage(await readFile(PAGE, 'utf8'), pageParts(results)));
makeFolder(path.join(DOCS, 'performance'));
for (const [model, { curve, gap }] of Object.entries(results.models)) {
  const name = model.toLowerCase().replace(/[^a-z0-9]+/g, '-');
  const draw = async (plot: string, spec: Parameters<typeof renderSvg>[0]) =>
    writeFile(path.join(DOCS, 'performance', `${plot}-${name}.svg`), await renderSvg(spec));
  if (curve !== undefined) await draw('curve', curvePlot(curve.result, model));
  if (gap !== undefined) await draw('gap', gapPlot(gap.result, model));
}
