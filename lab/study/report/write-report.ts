/** Turns a study's results into its report: a page, plots, and the numbers by themselves. */
import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import { renderSvg } from '../../plots/render.ts';
import { testHypotheses } from '../analysis/hypotheses.ts';
import { createStudy } from '../analysis/study.ts';
import type { StudyResults } from '../results/results.ts';
import { PLOTS, type PlotName } from './plots/plots.ts';
import { readme } from './readme.ts';
import { summary, summaryJson } from './summary.ts';

/**
 * Writes `README.md`, `summary.json` and the plots' SVG files into `out`, and overwrites those of
 * an earlier report. What is missing from the results is shown as missing. A plot with nothing to
 * draw is not written, and an old file with its name is deleted.
 */
export async function writeReport(results: StudyResults, { out }: { out: string }): Promise<void> {
  const study = createStudy(results);
  const outcomes = testHypotheses(study);
  makeFolder(out);
  const drawn = new Set<PlotName>();
  // Object.entries widens the keys of a closed record to string.
  for (const [name, plot] of Object.entries(PLOTS) as [PlotName, (typeof PLOTS)[PlotName]][]) {
    const file = path.join(out, `${name}.svg`);
    const spec = plot(study);
    if (!spec) {
      await rm(file, { force: true });
      continue;
    }
    await writeFile(file, `${await renderSvg(spec)}\n`);
    drawn.add(name);
  }
  await writeFile(path.join(out, 'README.md'), readme(study, outcomes, drawn));
  await writeFile(path.join(out, 'summary.json'), summaryJson(summary(study, outcomes)));
}
