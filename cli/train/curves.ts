/** `plimsoll train curves RUN...`: draws the figures of runs. */
import { writeFile } from 'node:fs/promises';
import { Command } from 'commander';
import { claimFile } from '#training/run/claim-folder.ts';
import { INSTALLED } from '../options/installed.ts';

export const curves = () =>
  new Command('curves')
    .description('draw the figures of one or several runs along their steps: loss, held-out figures, learning rate')
    .argument('<runs...>', 'folders of runs')
    .requiredOption('--out <file>', 'the drawing, an .svg or .html file')
    .option('--force', 'replace an earlier file in --out', false)
    .action(draw);

async function draw(runs: string[], { out, force }: { out: string; force: boolean }): Promise<void> {
  if (!/\.(svg|html)$/.test(out)) throw new Error(`--out ${out}: found another ending, wanted .svg or .html`);
  if (INSTALLED) {
    throw new Error(
      'curves is not in a release, which has no library that draws; run it in a checkout, or read metrics.jsonl of a run, one JSON object a line',
    );
  }
  const { curvesPage, readCurves, trainingCurves } = await import('#lab/plots/training-curves.ts');
  const { renderSvg } = await import('#lab/plots/render.ts');
  const figures = runs.map(readCurves);
  const file = claimFile(out, { force });
  const svg = await renderSvg(trainingCurves(figures));
  await writeFile(file, out.endsWith('.svg') ? svg : curvesPage(svg));
  console.log(`${file}: ${runs.length === 1 ? 'one run' : `${runs.length} runs`}`);
}
