import path from 'node:path';
import { PREFERENCE_LAYOUTS } from '#training/data/preferences.ts';
import { claimFolder } from '#training/run/claim-folder.ts';
import { loadExpertWeights } from '#training/stages/expert-weights.ts';
import { runOf } from '#training/stages/folder-kinds.ts';
import { routerStage } from '#training/stages/router.ts';
import { type OnBaseFlags, openBase, withBase } from './flags.ts';
import { RouterStage } from './settings.ts';
import { stageCommand } from './stage-command.ts';

type RouterFlags = OnBaseFlags & { safety: string; helpfulness: string; dual: string };

export const router = stageCommand<typeof RouterStage, RouterFlags>({
  name: 'router',
  description: 'train the router between two frozen experts on the pairs of the stage rank',
  settings: RouterStage,
  flags: (command) =>
    withBase(command)
      .requiredOption('--safety <dir>', 'run of the stage expert --role safety')
      .requiredOption('--helpfulness <dir>', 'run of the stage expert --role helpfulness')
      .requiredOption('--dual <dir>', 'folder made by the stage rank'),
  run: async (settings, { dual, ...flags }) => {
    const out = claimFolder(flags.out, { kind: runOf('router', { fields: { kind: settings.kind } }), ...flags });
    const opened = await openBase(flags);
    const readDual = (name: string) => Array.fromAsync(PREFERENCE_LAYOUTS.plimsoll(path.join(dual, name)));
    await routerStage({
      ...settings,
      ...flags,
      ...opened,
      out,
      safety: await loadExpertWeights(flags.safety, opened.base),
      helpfulness: await loadExpertWeights(flags.helpfulness, opened.base),
      train: await readDual('train.jsonl'),
      heldOut: await readDual('held-out.jsonl'),
      dataSettings: { dual, safety: flags.safety, helpfulness: flags.helpfulness },
    });
  },
});
