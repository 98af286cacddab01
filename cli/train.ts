/** `plimsoll train <stage>`: one command per stage, and commands that run several. */
import { Command } from 'commander';
import { classifier } from './train/classifier.ts';
import { curves } from './train/curves.ts';
import { data } from './train/data.ts';
import { demo } from './train/demo.ts';
import { expert } from './train/expert.ts';
import { exportBundle } from './train/export.ts';
import { probes } from './train/probes.ts';
import { rank } from './train/rank.ts';
import { realShare } from './train/real-share.ts';
import { router } from './train/router.ts';
import { cost, reward } from './train/score.ts';
import { sft } from './train/sft.ts';
import { smollm2 } from './train/smollm2.ts';
import { tokenizer } from './train/tokenizer.ts';
import { world } from './train/world.ts';

export function trainCommand(): Command {
  const train = new Command('train').description('train tokenizer, base model, preference models, experts and router');
  const stages = [tokenizer, sft, reward, cost, expert, rank, router, exportBundle];
  const others = [curves, demo, smollm2, data, world, realShare, classifier, probes];
  for (const command of [...stages, ...others]) train.addCommand(command());
  return train;
}
