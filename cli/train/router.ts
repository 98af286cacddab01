import { claimFolder } from '#training/run/claim-folder.ts';
import { loadExpertWeights } from '#training/stages/expert-weights.ts';
import { runOf } from '#training/stages/folder-kinds.ts';
import { readDualPairs } from '#training/stages/rank.ts';
import { routerStage } from '#training/stages/router.ts';
import { type OnBaseFlags, openBase, withBase, withRun } from './flags.ts';
import { RouterStage } from './settings.ts';
import { stageCommand } from './stage-command.ts';
import { onBase, printSummary } from './summary.ts';

type RouterFlags = OnBaseFlags & { safety: string; helpfulness: string; dual: string };

export const router = stageCommand<typeof RouterStage, RouterFlags>({
  name: 'router',
  description: 'train the router between two frozen experts on the pairs of the stage rank',
  settings: RouterStage,
  flags: (command) =>
    withRun(withBase(command))
      .requiredOption('--safety <dir>', 'run of the stage expert --role safety')
      .requiredOption('--helpfulness <dir>', 'run of the stage expert --role helpfulness')
      .requiredOption('--dual <dir>', 'folder made by the stage rank'),
  run: async (settings, { dual, ...flags }) => {
    const out = claimFolder(flags.out, { kind: runOf('router', { fields: { kind: settings.kind } }), ...flags });
    const opened = await openBase(flags);
    await routerStage({
      ...settings,
      ...flags,
      ...opened,
      out,
      safety: await loadExpertWeights(flags.safety, opened.base, { wanted: 'safety' }),
      helpfulness: await loadExpertWeights(flags.helpfulness, opened.base, { wanted: 'helpfulness' }),
      ...(await readDualPairs(dual, opened.base)),
      dataSettings: { dual, safety: flags.safety, helpfulness: flags.helpfulness },
    });
    const experts = `--experts ${flags.safety} ${flags.helpfulness}`;
    const next = `export ${onBase(flags)} ${experts} --routers ${out} --out BUNDLE --id NAME`;
    await printSummary(`router ${settings.kind}`, out, next);
  },
});
