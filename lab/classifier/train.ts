/**
 * `npm run train:classifier` trains the edge's classifier on public prompts, our own and the small
 * world's. It writes the model, its card, its figures and their plot. The same seed and data give
 * the same bytes.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { createClassifier } from '#shared/classify/classify.ts';
import { createFeaturizer } from '#shared/classify/features.ts';
import { createLexicon } from '#shared/classify/lexicon.ts';
import { encodeModel } from '#shared/classify/model-format.ts';
import { createScorer } from '#shared/classify/score-text.ts';
import { calibrate, calibrationRows } from './calibration-rows.ts';
import { card } from './card.ts';
import { contrastPrompts } from './contrast-prompts.ts';
import { crossFit, yardstickOf } from './cross-fit.ts';
import { fit } from './fit.ts';
import { FOLDS } from './folds.ts';
import { assertNoLeaks, withoutLeaks } from './leakage.ts';
import { measure } from './measure.ts';
import { ownPrompts } from './own-prompts.ts';
import { fitsBar } from './progress.ts';
import { floatColumns, quantize, withCalibration } from './quantize.ts';
import { readPublic } from './read-public.ts';
import { RECIPE } from './recipe.ts';
import { reliabilityPlot } from './reliability-plot.ts';
import { trainingRows } from './training-rows.ts';
import { wordList } from './word-list.ts';
import { worldPrompts } from './world-prompts.ts';

type ClassifierOptions = { data: string; out: string; seed: number; epochs: number; learningRate: number; l2: number };

export async function trainClassifier({ data, out, seed, epochs, learningRate, l2 }: ClassifierOptions): Promise<void> {
  const { bits } = RECIPE;

  console.error(`reading prompts from ${data}`);
  const { examples: publicPrompts, measureOnly } = await readPublic(data);
  const ours = [...ownPrompts({ seed }), ...contrastPrompts(), ...worldPrompts({ seed })];
  const { examples, removed } = withoutLeaks([...publicPrompts, ...ours]);
  assertNoLeaks(examples);
  console.error(`${examples.length} prompts, ${removed} taken out of training because they are held out elsewhere`);

  const rows = trainingRows(examples, createFeaturizer(bits));
  const words = wordList(examples.filter(({ split }) => split === 'train').map(({ text }) => text));
  const lexicon = createLexicon(words);
  const bar = fitsBar({ fits: 1 + FOLDS.length, epochs });
  const fitOptions = { bits, epochs, learningRate, l2, seed, onEpoch: bar.onEpoch };
  const float = fit(rows, fitOptions);
  const left = await crossFit(rows, { examples, yardstick: yardstickOf(measureOnly), lexicon, fitOptions });
  bar.stop();

  const int8 = quantize(float);
  const score = createScorer({ ...int8, lexicon });
  const calibration = calibrate(calibrationRows(left.leftOut, { examples, score }));
  const bytes = encodeModel(withCalibration(int8, { calibration, words }));
  const classifier = createClassifier(bytes.buffer);
  const gzip = gzipSync(bytes, { level: 9 }).length;

  console.error('measuring it on held-out prompts, on prompts from elsewhere, and in disguise');
  const figures = measure({
    facts: {
      version: classifier.version,
      command: 'npm run train:classifier',
      settings: { seed, bits, epochs, learningRate, l2 },
      bytes: { model: bytes.length, gzip },
    },
    examples,
    measureOnly,
    left,
    calibration,
    classifier,
    file: bytes.buffer,
    score,
    scoreFloat: createScorer({ bits, columns: floatColumns(float), weights: float.weights, lexicon }),
  });

  await mkdir(out, { recursive: true });
  await writeFile(path.join(out, 'classifier.bin'), bytes);
  await writeFile(path.join(out, 'metrics.json'), `${JSON.stringify(figures, null, 2)}\n`);
  await writeFile(path.join(out, 'reliability.svg'), reliabilityPlot(figures.reliability));
  await writeFile(path.join(out, 'CARD.md'), card(figures));
  console.log(
    `classifier ${classifier.version}: ${bytes.length} bytes (${gzip} gzipped) in ${out}, figures in CARD.md`,
  );
}
