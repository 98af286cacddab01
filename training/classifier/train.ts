/**
 * Trains the edge's classifier from public prompts, our own and the small world's, and writes the model, its card, its figures
 * and their plot: `npm run train:classifier`. The same seed and data give the same bytes.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { Presets, SingleBar } from 'cli-progress';
import { Command } from 'commander';
import { JUDGEMENTS, LABELS } from '#shared/api/categories.ts';
import { createClassifier } from '#shared/classify/classify.ts';
import { ANY_HARM, sigmoid } from '#shared/classify/combine-scores.ts';
import { createFeaturizer } from '#shared/classify/features.ts';
import { createLexicon } from '#shared/classify/lexicon.ts';
import { encodeModel } from '#shared/classify/model-format.ts';
import { plainReading } from '#shared/classify/readings.ts';
import { createScorer, type ScoreText } from '#shared/classify/score-text.ts';
import { windowsOf } from '#shared/classify/windows.ts';
import { number, positiveInteger } from '../cli-numbers.ts';
import { attackFigures, attackPrompts } from './attack-figures.ts';
import { fitPlatt, type Platt } from './calibrate.ts';
import { card } from './card.ts';
import { columnTargets, harmOf } from './columns.ts';
import type { Judged } from './evaluate.ts';
import type { Example } from './example.ts';
import { fit } from './fit.ts';
import { assertNoLeaks, withoutLeaks } from './leakage.ts';
import { ownPrompts } from './own-prompts.ts';
import { floatColumns, quantize, withCalibration } from './quantize.ts';
import { readPublic } from './read-public.ts';
import { RECIPE } from './recipe.ts';
import { reliabilityPlot } from './reliability-plot.ts';
import { report } from './report.ts';
import { wordList } from './word-list.ts';
import { worldPrompts } from './world-prompts.ts';

type Flags = { data: string; out: string; seed: number; epochs: number; learningRate: number; l2: number };

/** A piece of a long text counts less than a prompt that somebody wrote. */
const PIECE_WEIGHT = 0.5;
/** Harmful and harmless each; a share is then good to about five per cent. */
const ATTACKED = 80;

async function train({ data, out, seed, epochs, learningRate, l2 }: Flags): Promise<void> {
  const { bits } = RECIPE;

  console.error(`reading prompts from ${data}`);
  const { examples: publicPrompts, measureOnly } = await readPublic(data);
  const { examples, removed } = withoutLeaks([...publicPrompts, ...ownPrompts({ seed }), ...worldPrompts({ seed })]);
  assertNoLeaks(examples);
  console.error(`${examples.length} prompts, ${removed} taken out of training because they are held out elsewhere`);

  const featurize = createFeaturizer(bits);
  const side = (split: Example['split']) => examples.filter((example) => example.split === split);
  const rows = side('train').flatMap((example) => {
    const targets = columnTargets(example);
    const row = (text: string, weight: number) => ({ buckets: featurize(text).slice(), targets, weight });
    const text = plainReading(example.text);
    // Nothing in a harmless text is harmful; of a harmful one nobody said which piece.
    const pieces = harmOf(example) === 0 && example.targets.at(-1) === 0 ? windowsOf(text) : [];
    return [row(text, example.weight), ...pieces.map((piece) => row(piece, PIECE_WEIGHT * example.weight))];
  });
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

  const words = wordList(side('train').map(({ text }) => text));
  const lexicon = createLexicon(words);
  const int8 = quantize(float);
  const score = createScorer({ ...int8, lexicon });
  const calibration = calibrate(score, side('calibration'));
  const bytes = encodeModel(withCalibration(int8, { calibration, words }));
  const classifier = createClassifier(bytes.buffer);
  const { version } = classifier;

  const judgeBy =
    (score: ScoreText) =>
    (example: Example): Judged => {
      const { logOdds } = score(example.text);
      return {
        example,
        probabilities: LABELS.map((_, k) => applyPlatt(calibration[k]!, logOdds[k]!)),
        uncalibrated: LABELS.map((_, k) => sigmoid(logOdds[k]!)),
      };
    };
  const judge = judgeBy(score);
  const judgeFloat = judgeBy(createScorer({ bits, columns: floatColumns(float), weights: float.weights, lexicon }));
  const gzip = gzipSync(bytes, { level: 9 }).length;
  const facts = {
    version,
    command: 'npm run train:classifier',
    settings: { seed, bits, epochs, learningRate, l2 },
    bytes: { model: bytes.length, gzip },
  };
  console.error('measuring it on held-out prompts, on prompts from elsewhere, and in disguise');
  const prompts = attackPrompts(classifier, { examples: side('heldout'), most: ATTACKED });
  const figures = report(facts, {
    examples,
    heldout: side('heldout').map(judge),
    heldoutFloat: side('heldout').map(judgeFloat),
    measureOnly: measureOnly.map(judge),
    attackPrompts: prompts,
    attacks: attackFigures(bytes.buffer, { prompts }),
  });

  await mkdir(out, { recursive: true });
  await writeFile(path.join(out, 'classifier.bin'), bytes);
  await writeFile(path.join(out, 'metrics.json'), `${JSON.stringify(figures, null, 2)}\n`);
  await writeFile(path.join(out, 'reliability.svg'), reliabilityPlot(figures.reliability));
  await writeFile(path.join(out, 'CARD.md'), card(figures));
  console.log(`classifier ${version}: ${bytes.length} bytes (${gzip} gzipped) in ${out}, figures in CARD.md`);
}

function applyPlatt({ slope, offset }: Platt, logOdds: number): number {
  return sigmoid(slope * logOdds + offset);
}

/** On the very numbers the edge will turn into probabilities: all readings, int8 weights. */
function calibrate(score: ScoreText, examples: readonly Example[]): Platt[] {
  const judged = examples.map((example) => ({ example, logOdds: score(example.text).logOdds.slice() }));
  return JUDGEMENTS.map((_, k) =>
    fitPlatt(
      judged.flatMap(({ example, logOdds }) => {
        const target = k === ANY_HARM ? harmOf(example) : example.targets[k]!;
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
