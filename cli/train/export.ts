import { Command } from 'commander';
import { DEMO } from '#lab/methods/recipe.ts';
import { spdxOf } from '#training/data/licences.ts';
import { claimFolder } from '#training/run/claim-folder.ts';
import { exportStage } from '#training/stages/export.ts';
import { BUNDLE } from '#training/stages/folder-kinds.ts';
import { share } from '../options/numbers.ts';
import { folderOfBase, withBase } from './flags.ts';

export const exportBundle = () =>
  withBase(new Command('export'))
    .description('write base, tokenizer, experts and routers as one bundle')
    .option('--experts <dirs...>', 'runs of the stage expert (default: the base itself under both roles)')
    .option('--routers <dirs...>', 'runs of the stage router, at most one of each kind')
    .requiredOption('--out <dir>', 'where the bundle goes')
    .option('--force', 'replace an earlier bundle in --out', false)
    .requiredOption('--id <model>', 'the model id that clients use')
    .option(
      '--licence <spdx>',
      'licence of the weights, as far as their data allows it; private: nobody else gets them',
      'Apache-2.0',
    )
    .option('--default-weight <x>', 'safety weight if there is no logits router', share, DEMO.defaultWeight)
    .action(async (flags) => {
      const { tokenizer, experts = 'base', routers = [], id, defaultWeight } = flags;
      const licence = spdxOf(flags.licence, '--licence');
      const base = folderOfBase(flags.base);
      const out = claimFolder(flags.out, { kind: BUNDLE, force: flags.force });
      const provenance = { description: `plimsoll train export of ${base}`, data: [] };
      const manifest = { id, licence, default_weight: defaultWeight, provenance };
      console.log(`${flags.out}: ${await exportStage({ base, tokenizer, experts, routers, out, manifest })}`);
      console.log(`  next: npx plimsoll serve --bundle ${flags.out}`);
    });
