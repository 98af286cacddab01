import type { ScoreKind } from '#training/graphs/score-graph.ts';
import { claimFolder } from '#training/run/claim-folder.ts';
import { runOf } from '#training/stages/folder-kinds.ts';
import { SCORE_DIMENSION, scoreStage } from '#training/stages/score.ts';
import { type OnBaseFlags, openBase, withBase, withRun } from './flags.ts';
import { pairsOf } from './pairs.ts';
import { paceOf, ScoreStage } from './settings.ts';
import { stageCommand } from './stage-command.ts';
import { onBase, printSummary } from './summary.ts';

const scoreCommand = (kind: ScoreKind) =>
  stageCommand<typeof ScoreStage, OnBaseFlags>({
    name: kind,
    description: `train a ${kind} model, a score head on the base, from preferences for ${kind === 'reward' ? 'helpfulness' : 'safety'}`,
    settings: ScoreStage,
    flags: (command) => withRun(withBase(command)),
    run: async (settings, flags) => {
      const out = claimFolder(flags.out, { kind: runOf('score', { what: kind, fields: { kind } }), ...flags });
      const { pairs, dataSettings } = await pairsOf(settings, SCORE_DIMENSION[kind]);
      const { seed, rank, alpha, targets, pairsPerBatch } = settings;
      const training = { seed, rank, alpha, targets, pairsPerBatch, ...paceOf(settings) };
      await scoreStage({ ...training, ...pairs, ...flags, ...(await openBase(flags)), out, kind, dataSettings });
      const role = kind === 'cost' ? 'safety' : 'helpfulness';
      const next = `expert --role ${role} --margin spe --margin-model ${out} ${onBase(flags)} --out ${role.toUpperCase()}_RUN`;
      await printSummary(kind, out, next);
    },
  });

export const reward = scoreCommand('reward');
export const cost = scoreCommand('cost');
