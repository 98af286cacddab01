import { claimFolder } from '#training/run/claim-folder.ts';
import { expertStage, ROLE_DIMENSION } from '#training/stages/expert.ts';
import { loadExpertWeights } from '#training/stages/expert-weights.ts';
import { runOf } from '#training/stages/folder-kinds.ts';
import { type MarginRule, marginKind, marginModel } from '#training/stages/margin-model.ts';
import { loadScorer } from '#training/stages/scorer.ts';
import { type OnBaseFlags, openBase, type SampleFlags, samplesOf, withBase, withRun, withSamples } from './flags.ts';
import { pairsOf } from './pairs.ts';
import { ExpertStage, paceOf } from './settings.ts';
import { stageCommand } from './stage-command.ts';
import { afterExpert, printSummary } from './summary.ts';

export const expert = stageCommand<
  typeof ExpertStage,
  OnBaseFlags & SampleFlags & { marginModel?: string; from?: string }
>({
  name: 'expert',
  description: 'train one LoRA expert on the frozen base by DPO, with or without a margin',
  settings: ExpertStage,
  flags: (command) =>
    withSamples(withRun(withBase(command)))
      .option(
        '--margin-model <dir>',
        'run of the stage cost or reward: spe: cost for safety, reward for helpfulness; modpo: the other one',
      )
      .option(
        '--from <dir>',
        'start from another expert of the same rank, alpha and targets, and measure against it (SACPO)',
      ),
  run: async (settings, { marginModel: scorerDir, from, ...flags }) => {
    const { margin, marginScale, role } = settings;
    if ((margin === 'none') !== (scorerDir === undefined)) {
      throw new Error('a --margin and --margin-model go together: give both, or neither');
    }
    const out = claimFolder(flags.out, { kind: runOf('expert', { fields: { role } }), ...flags });
    const opened = await openBase(flags);
    const { padId } = opened.tokenizer;
    const loadMargin = async (rule: MarginRule, name: string) => {
      const wanted = marginKind(role, rule);
      const scorer = await loadScorer(name, { base: opened.base, padId, threads: flags.threads, wanted });
      return marginModel(scorer, { name, rule, scale: marginScale });
    };
    const { pairs, dataSettings } = await pairsOf(settings, ROLE_DIMENSION[role]);
    const { seed, rank, alpha, targets, beta, nllWeight, pairsPerBatch, variant } = settings;
    await expertStage({
      ...{ role, seed, rank, alpha, targets, beta, nllWeight, pairsPerBatch, variant },
      ...paceOf(settings),
      ...pairs,
      ...flags,
      ...opened,
      out,
      samples: await samplesOf(flags),
      margin: margin !== 'none' && scorerDir ? await loadMargin(margin, scorerDir) : null,
      from: from ? { ...(await loadExpertWeights(from, opened.base)), name: from } : null,
      dataSettings,
    });
    await printSummary(`expert ${role}`, out, afterExpert(role, flags, out));
  },
});
