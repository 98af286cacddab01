/**
 * Takes all the measurements of one run: on held-out prompts, prompts from elsewhere, left-out
 * sources, contrast pairs, codes and disguises.
 */

import type { Classifier } from '#shared/classify/classify.ts';
import { sigmoid } from '#shared/classify/combine-scores.ts';
import { probabilitiesOf } from '#shared/classify/probabilities.ts';
import type { ScoreText } from '#shared/classify/score-text.ts';
import { JUDGEMENTS } from '#shared/line/categories.ts';
import { attackFigures, attackPrompts } from './attack-figures.ts';
import type { Platt } from './calibrate.ts';
import { contrastFigures, contrastSets } from './contrast-figures.ts';
import type { CrossFit } from './cross-fit.ts';
import { encodedFigures } from './encoded-figures.ts';
import type { Judged } from './evaluate.ts';
import type { Example } from './example.ts';
import { leftOutFigures } from './left-out-figures.ts';
import { type Facts, type Report, report } from './report.ts';

/**
 * How many harmful and how many harmless prompts we disguise. A share is then accurate to about
 * five percentage points.
 */
const ATTACKED = 80;

export function measure(run: {
  facts: Facts;
  examples: readonly Example[];
  measureOnly: readonly Example[];
  left: CrossFit;
  /** [judgements] */
  calibration: readonly Platt[];
  classifier: Classifier;
  file: ArrayBuffer;
  score: ScoreText;
  scoreFloat: ScoreText;
}): Report {
  const { examples, classifier, calibration } = run;
  const judgeBy =
    (score: ScoreText) =>
    (example: Example): Judged => {
      const { logOdds } = score(example.text);
      return {
        example,
        probabilities: probabilitiesOf(logOdds, calibration),
        uncalibrated: JUDGEMENTS.map((_, k) => sigmoid(logOdds[k]!)),
      };
    };
  const heldout = examples.filter(({ split }) => split === 'heldout');
  const prompts = attackPrompts(classifier, { examples: heldout, most: ATTACKED });
  return report(run.facts, {
    examples,
    heldout: heldout.map(judgeBy(run.score)),
    heldoutFloat: heldout.map(judgeBy(run.scoreFloat)),
    measureOnly: run.measureOnly.map(judgeBy(run.score)),
    attackPrompts: prompts,
    attacks: attackFigures(run.file, { prompts }),
    contrast: contrastSets(examples).map((set) => contrastFigures(classifier.classify, set)),
    encoded: encodedFigures(classifier, prompts),
    leftOut: leftOutFigures(run.left, calibration),
  });
}
