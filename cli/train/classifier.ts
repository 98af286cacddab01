import { Command, Option } from 'commander';
import { CLASSIFIER } from '#lab/classifier/folder-kind.ts';
import { RECIPE } from '#lab/classifier/recipe.ts';
import { trainClassifier } from '#lab/classifier/train.ts';
import { claimFolder } from '#training/run/claim-folder.ts';
import { dataOption } from '../options/data-option.ts';
import { defaultFolder, INSTALLED } from '../options/installed.ts';
import { number, positiveInteger } from '../options/numbers.ts';

const MODEL = { checkout: 'models/classifier', release: 'classifier' };

export const classifier = () =>
  new Command('classifier')
    .description("train the edge's prompt classifier")
    .addOption(dataOption('folder with the public prompt files'))
    .addOption(
      new Option('--out <dir>', 'where model, card and figures go').default(
        defaultFolder(MODEL),
        INSTALLED ? MODEL.release : MODEL.checkout,
      ),
    )
    .option('--force', 'replace an earlier classifier in --out', false)
    .option('--seed <n>', 'decides frames, wordings and order', positiveInteger, RECIPE.seed)
    .option('--epochs <n>', 'passes over the training prompts', positiveInteger, RECIPE.epochs)
    .option('--learning-rate <x>', "AdaGrad's step size", number, RECIPE.learningRate)
    .option('--l2 <x>', 'how strongly weights are pulled towards 0', number, RECIPE.l2)
    .action(async ({ force, ...flags }) => {
      claimFolder(flags.out, { kind: CLASSIFIER, force });
      await trainClassifier(flags);
    });
