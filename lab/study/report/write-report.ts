/** Turns a study's results into its report: a page, plots, and the numbers by themselves. */
import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import { renderSvg } from '../../plots/render.ts';
import { testHypotheses } from '../analysis/hypotheses.ts';
import { HYPOTHESES_FILE, readHypotheses } from '../analysis/hypotheses-file.ts';
import { createStudy } from '../analysis/study.ts';
import { assertRegistered } from '../results/registration.ts';
import { readResults } from '../results/results-file.ts';
import { PLOTS, type PlotName } from './plots/plots.ts';
import { readme } from './readme.ts';
import { summary, summaryJson } from './summary.ts';

/**
 * Reads a file of results and writes `README.md`, `summary.json` and the plots' SVG files into
 * `out`, over those of an earlier report. Throws, and writes nothing, if the hypotheses are not the
 * ones registered before the answers. What is missing from the results is shown as missing. A plot
 * with nothing to draw is not written, and an old file with its name is deleted.
 */
export async function writeReport(
  file: string,
  { out, hypotheses: of = HYPOTHESES_FILE }: { out: string; hypotheses?: string },
): Promise<void> {
  const { results, registration } = readResults(file);
  const { digest, ...written } = readHypotheses(of);
  assertRegistered(registration, { file: of, digest });
  const study = createStudy(results);
  const outcomes = testHypotheses(study, written);
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
  await writeFile(path.join(out, 'README.md'), readme(study, { outcomes, drawn, registration: registration! }));
  await writeFile(path.join(out, 'summary.json'), summaryJson(summary(study, outcomes)));
}
