/**
 * Trains the edge's classifier from public prompts, our own and the small world's, and writes the model, its card and its
 * figures: `npm run train:classifier`. The same seed and data give
 * the same bytes.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { Presets, SingleBar } from 'cli-progress';
import { Command } from 'commander';
import { LABELS } from '#shared/api/categories.ts';
import { createClassifier } from '#shared/classify/classify.ts';
import { combineScores, sigmoid } from '#shared/classify/combine-scores.ts';
import { createFeaturizer } from '#shared/classify/features.ts';
import { encodeModel } from '#shared/classify/model-format.ts';
import { number, positiveInteger } from '../cli-numbers.ts';
import { fitPlatt, type Platt } from './calibrate.ts';
import { card } from './card.ts';
import { columnTargets } from './columns.ts';
import type { Judged } from './evaluate.ts';
import type { Example } from './example.ts';
import { type FloatModel, fit, scoresOf } from './fit.ts';
import { assertNoLeaks, withoutLeaks } from './leakage.ts';
import { ownPrompts } from './own-prompts.ts';
import { dequantize, quantize, withCalibration } from './quantize.ts';
import { readPublic } from './read-public.ts';
import { RECIPE } from './recipe.ts';
import { report } from './report.ts';
import { worldPrompts } from './world-prompts.ts';

type Flags = { data: string; out: string; seed: number; epochs: number; learningRate: number; l2: number };

async function train({ data, out, seed, epochs, learningRate, l2 }: Flags): Promise<void> {
  const startedAt = Date.now();
  const { bits } = RECIPE;

  console.error(`reading prompts from ${data}`);
  const { examples: publicPrompts, measureOnly } = await readPublic(data);
  const { examples, removed } = withoutLeaks([...publicPrompts, ...ownPrompts({ seed }), ...worldPrompts({ seed })]);
  assertNoLeaks(examples);
  console.error(`${examples.length} prompts, ${removed} taken out of training because they are held out elsewhere`);

  const featurize = createFeaturizer(bits);
  const bucketsOf = ({ text }: Example) => featurize(text).slice();
  const side = (split: Example['split']) => examples.filter((example) => example.split === split);
  const rows = side('train').map((example) => ({
    buckets: bucketsOf(example),
    targets: columnTargets(example),
    weight: example.weight,
  }));
  const bar = new SingleBar(
    {
      format: 'training {bar} epoch {value}/{total}, loss {loss}, {eta_formatted} left',
      noTTYOutput: true,
      notTTYSchedule: 5000,
    },
    Presets.rect,
  );
  bar.start(epochs, 0, { loss: '--' });
  const onEpoch = (epoch: number, loss: number) => bar.update(epoch, { loss: loss.toFixed(4) });
  const float = fit(rows, { bits, epochs, learningRate, l2, seed, onEpoch });
  bar.stop();

  const int8 = quantize(float);
  const calibration = calibrate(dequantize(int8), side('calibration'), bucketsOf);
  const bytes = encodeModel(withCalibration(int8, calibration));
  const { version, classify } = createClassifier(bytes.buffer);

  const judge = (example: Example): Judged => ({
    example,
    probabilities: classify(example.text).map(({ probability }) => probability),
  });
  const judgeFloat = (example: Example): Judged => ({
    example,
    probabilities: Array.from(logOddsOf(float, bucketsOf(example)), (logOdds, k) =>
      applyPlatt(calibration[k]!, logOdds),
    ),
  });
  const seconds = Math.round((Date.now() - startedAt) / 1000);
  const gzip = gzipSync(bytes, { level: 9 }).length;
  const facts = {
    version,
    command: 'npm run train:classifier',
    settings: { seed, bits, epochs, learningRate, l2 },
    seconds,
    bytes: { model: bytes.length, gzip },
  };
  const figures = report(facts, {
    examples,
    heldout: side('heldout').map(judge),
    heldoutFloat: side('heldout').map(judgeFloat),
    measureOnly: measureOnly.map(judge),
  });

  await mkdir(out, { recursive: true });
  await writeFile(path.join(out, 'classifier.bin'), bytes);
  await writeFile(path.join(out, 'metrics.json'), `${JSON.stringify(figures, null, 2)}\n`);
  await writeFile(path.join(out, 'CARD.md'), card(figures));
  console.log(`classifier ${version}: ${bytes.length} bytes (${gzip} gzipped) in ${out}, figures in CARD.md`);
}

function logOddsOf(model: FloatModel, buckets: Uint32Array): Float64Array {
  const logOdds = new Float64Array(LABELS.length);
  combineScores(scoresOf(model, buckets), logOdds);
  return logOdds;
}

function applyPlatt({ slope, offset }: Platt, logOdds: number): number {
  return sigmoid(slope * logOdds + offset);
}

function calibrate(
  model: FloatModel,
  examples: readonly Example[],
  bucketsOf: (example: Example) => Uint32Array,
): Platt[] {
  const judged = examples.map((example) => ({ example, logOdds: logOddsOf(model, bucketsOf(example)) }));
  return LABELS.map((_, k) =>
    fitPlatt(
      judged.flatMap(({ example, logOdds }) => {
        const target = example.targets[k]!;
        return target === null ? [] : [{ score: logOdds[k]!, target }];
      }),
    ),
  );
}

const root = path.join(import.meta.dirname, '../..');

export function classifierCommand(): Command {
  return new Command('classifier')
    .description("train the edge's prompt classifier")
    .option('--data <dir>', 'folder with the public prompt files', path.join(root, '../shared/data'))
    .option('--out <dir>', 'where model, card and figures go', path.join(root, 'models/classifier'))
    .option('--seed <n>', 'decides frames, wordings and order', positiveInteger, RECIPE.seed)
    .option('--epochs <n>', 'passes over the training prompts', positiveInteger, RECIPE.epochs)
    .option('--learning-rate <x>', "AdaGrad's step", number, RECIPE.learningRate)
    .option('--l2 <x>', 'pull of the weights towards 0', number, RECIPE.l2)
    .action(train);
}
