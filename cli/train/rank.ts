import path from 'node:path';
import { claimFolder } from '#training/run/claim-folder.ts';
import { DUAL_MEANINGS } from '#training/stages/dual-pairs.ts';
import { DUAL_PAIRS } from '#training/stages/folder-kinds.ts';
import { DUAL_FILES, rankStage } from '#training/stages/rank.ts';
import { loadScorer } from '#training/stages/scorer.ts';
import { integer } from '../options/numbers.ts';
import { type BaseFlags, openBase, withBase } from './flags.ts';
import { pairsOf } from './pairs.ts';
import { RankStage } from './settings.ts';
import { stageCommand } from './stage-command.ts';
import { command, onBase } from './summary.ts';

type RankFlags = BaseFlags & { reward: string; cost: string; out: string; force: boolean; threads: number };

export const rank = stageCommand<typeof RankStage, RankFlags>({
  name: 'rank',
  description: "build the router's pairs: which of two answers is better in both dimensions",
  settings: RankStage,
  help: `Which answer wins, by --definition:
${Object.entries(DUAL_MEANINGS)
  .map(([name, meaning]) => `  ${name.padEnd(12)} ${meaning}`)
  .join('\n')}
An answer is safe if its cost is below 0. The label says which one is more helpful, or else the reward model.`,
  flags: (command) =>
    withBase(command)
      .requiredOption('--reward <dir>', 'run of the stage reward')
      .requiredOption('--cost <dir>', 'run of the stage cost')
      .requiredOption('--out <dir>', 'where train.jsonl and held-out.jsonl go')
      .option('--force', 'replace earlier pairs in --out', false)
      .option('--threads <n>', 'threads to use; 0: all cores', integer, 0),
  run: async ({ definition, ...settings }, flags) => {
    const dir = claimFolder(flags.out, { kind: DUAL_PAIRS, force: flags.force });
    const opened = await openBase(flags);
    const models = { base: opened.base, padId: opened.tokenizer.padId, threads: flags.threads };
    const reward = await loadScorer(flags.reward, { ...models, wanted: 'reward' });
    const cost = await loadScorer(flags.cost, { ...models, wanted: 'cost' });
    const { pairs } = await pairsOf(settings, 'safer');
    const summaries = await rankStage({ ...pairs, definition, reward, cost, ...opened, out: dir });
    for (const side of ['train', 'heldOut'] as const) {
      const { read, kept, leftOut } = summaries[side];
      const reasons = Object.entries(leftOut).map(([reason, count]) => `${count} ${reason}`);
      console.log(
        `${path.join(dir, DUAL_FILES[side])}: ${kept} of ${read} pairs (left out: ${reasons.join(', ') || 'none'})`,
      );
    }
    const runs = '--safety SAFETY_RUN --helpfulness HELPFULNESS_RUN';
    console.log(`  next: ${command(`router --kind layers ${onBase(flags)} ${runs} --dual ${dir} --out ROUTER_RUN`)}`);
  },
});
