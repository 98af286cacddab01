import { Command } from 'commander';
import { trainDemo } from '#lab/demo/train-demo.ts';
import { dataOption } from '../options/data-option.ts';
import { integer } from '../options/numbers.ts';

export const demo = () =>
  new Command('demo')
    .description('make the demo bundle from its seed: every stage, evaluation and model card; resumable')
    .option('--runs <dir>', 'where checkpoints and metrics go', 'runs/demo')
    .option('--out <dir>', 'where the bundle goes', 'models/demo')
    .option('--force', 'replace an earlier bundle in --out', false)
    .addOption(dataOption('folder with the real conversations'))
    .option('--threads <n>', 'threads to use; 0: all cores', integer, 0)
    .action(trainDemo);
