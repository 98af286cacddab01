import { existsSync, rmSync } from 'node:fs';
import path from 'node:path';
import { Command, Option } from 'commander';
import { BUNDLE_FILES } from '#gpu-backend/model/bundle-files.ts';
import { PROBES } from '#lab/probes/folder-kind.ts';
import { measureAnswers } from '#lab/probes/measure-answers.ts';
import { RECIPE } from '#lab/probes/recipe.ts';
import { trainProbes } from '#lab/probes/train-probes.ts';
import { claimFolder } from '#training/run/claim-folder.ts';
import { inBundle } from '../options/bundle-folder.ts';
import { dataOption } from '../options/data-option.ts';
import { integer, positiveInteger } from '../options/numbers.ts';

export const probes = () =>
  new Command('probes')
    .description("train a bundle's second look at prompts, from its own hidden states")
    .requiredOption('--base <dir>', 'the bundle whose states are read')
    .addOption(dataOption('folder with the public prompt files'))
    .option('--out <dir>', 'where states, probe, card and figures go; goes on where it stopped', 'runs/probes')
    .option('--force', 'read all states anew', false)
    .addOption(
      new Option('--row <which>', "the safety expert's row, as a look reads it, or the base without experts")
        .choices(['safety', 'base'] as const)
        .default('safety' as const),
    )
    .option('--layers <n...>', 'candidate layers, counted from 0', (text, all: number[] = []) => [
      ...all,
      integer(text),
    ])
    .option('--most-each <n>', 'for a try: the most prompts of each side of a source, in each part', positiveInteger)
    .addOption(
      new Option('--measure-answers', 'instead, measure how well a probe tells harmful answers by their first tokens')
        .default(false)
        .conflicts('mostEach'),
    )
    .option('--threads <n>', 'threads to use; 0: all cores', integer, 0)
    .action(
      async ({
        base,
        data,
        force,
        row,
        layers = null,
        mostEach = null,
        threads,
        measureAnswers: measures,
        ...flags
      }) => {
        const out = claimFolder(flags.out, { kind: PROBES, force, resume: true });
        const dir = path.resolve(base);
        if (!existsSync(path.join(dir, BUNDLE_FILES.manifest))) {
          throw new Error(`there is no bundle in ${dir}; --base names the folder of one`);
        }
        if (force) rmSync(path.join(out, 'states'), { recursive: true, force: true });
        const options = { base: dir, data, out, row, layers, threads, recipe: RECIPE };
        await inBundle(dir, () => (measures ? measureAnswers(options) : trainProbes({ ...options, mostEach })));
      },
    );
