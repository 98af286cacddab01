/** `plimsoll study judges`: makes the judges of real answers, and shows how good they are. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { Command } from 'commander';
import { BUNDLE_FILES } from '#gpu-backend/model/bundle-files.ts';
import { JUDGES_FOLDER } from '#lab/study/folder-kinds.ts';
import { askedPrompts } from '#lab/study/judges/asked-prompts.ts';
import { realJudges } from '#lab/study/judges/real-judges.ts';
import { claimFolder } from '#training/run/claim-folder.ts';
import { openBase } from '#training/stages/base-model.ts';
import { inBundle } from './options/bundle-folder.ts';
import { dataOption } from './options/data-option.ts';
import { integer } from './options/numbers.ts';

export const studyJudges = () =>
  new Command('judges')
    .description("make the judges of answers to real prompts, from the base's hidden states of labelled answers")
    .requiredOption('--base <dir>', 'the bundle whose base is read')
    .addOption(dataOption('folder with the labelled answers'))
    .option('--out <dir>', 'where states and judges go; goes on where it stopped', 'runs/study/judges')
    .option('--threads <n>', 'threads to use; 0: all cores', integer, 0)
    .action(async ({ base: name, data: dataDir, threads, ...flags }) => {
      const dir = claimFolder(flags.out, { kind: JUDGES_FOLDER, resume: true });
      const bundle = path.resolve(name);
      if (!existsSync(path.join(bundle, BUNDLE_FILES.manifest))) {
        throw new Error(`there is no bundle in ${bundle}; --base names the folder of one`);
      }
      const base = await inBundle(bundle, () => openBase(bundle));
      const sets = await askedPrompts(dataDir);
      const made = await realJudges({ dir, base, tokenizerDir: bundle, dataDir, sets, threads, make: true });
      for (const line of made.missing) console.error(`missing: ${line}`);
      for (const { name: judge, what, figures } of made.judges) {
        console.log(`${judge}: ${what}`);
        for (const [figure, value] of Object.entries(figures)) console.log(`  ${figure}: ${Number(value.toFixed(3))}`);
      }
    });
