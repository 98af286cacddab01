import { Command } from 'commander';
import { DEMO } from '#lab/methods/recipe.ts';
import { spdxOf } from '#training/data/licences.ts';
import { claimFolder } from '#training/run/claim-folder.ts';
import { exportStage } from '#training/stages/export.ts';
import { BUNDLE, EXPERTS } from '#training/stages/folder-kinds.ts';
import { share } from '../options/numbers.ts';
import { folderOfBase, withBase } from './flags.ts';

export const exportBundle = () =>
  withBase(new Command('export'))
    .description('write base, tokenizer, experts and routers as one bundle')
    .option(
      '--experts-only',
      'write a folder of experts and routers without their base, for model import --experts; without --experts, those of the bundle in --base',
      false,
    )
    .option('--experts <dirs...>', 'runs of the stage expert (default: the base itself under both roles)')
    .option('--routers <dirs...>', 'runs of the stage router, at most one of each kind')
    .option('--scores <dirs...>', 'the runs of the stages reward and cost, in this order: heads that judge answers')
    .requiredOption('--out <dir>', 'where the bundle, or the folder of experts, goes')
    .option('--force', 'replace an earlier bundle or folder of experts in --out', false)
    .option('--id <model>', 'the model id that clients use (required, except with --experts-only)')
    .option(
      '--licence <spdx>',
      'licence of the weights, as far as their data allows it; private: nobody else gets them',
      'Apache-2.0',
    )
    .option('--default-weight <x>', 'safety weight if there is no logits router', share, DEMO.defaultWeight)
    .action(async (flags) => {
      const { tokenizer, experts = 'base', routers = [], expertsOnly, defaultWeight } = flags;
      if (!expertsOnly && flags.id === undefined) throw new Error('--id is missing: the model id that clients use');
      const licence = spdxOf(flags.licence, '--licence');
      const base = folderOfBase(flags.base);
      const out = claimFolder(flags.out, { kind: expertsOnly ? EXPERTS : BUNDLE, force: flags.force });
      const provenance = { description: `plimsoll train export of ${base}`, data: [] };
      const manifest = { id: flags.id ?? 'experts', licence, default_weight: defaultWeight, provenance };
      const runs = { experts, routers, expertsOnly, scores: headsOf(flags.scores) };
      console.log(`${flags.out}: ${await exportStage({ base, tokenizer, ...runs, out, manifest })}`);
      const next = expertsOnly ? `model import BASE --experts ${flags.out} --out DIR` : `serve --bundle ${flags.out}`;
      console.log(`  next: npx plimsoll ${next}`);
    });

function headsOf(dirs: readonly string[] | undefined): { reward: string; cost: string } | undefined {
  if (dirs === undefined) return undefined;
  const [reward, cost, ...more] = dirs;
  if (reward !== undefined && cost !== undefined && more.length === 0) return { reward, cost };
  throw new Error(`--scores: found ${dirs.length} runs, wanted two: that of the stage reward, then that of cost`);
}
