/** The probe's card, written from one training's figures and from nothing else. */
import { type Compared, type Figures, SCORES } from './figures.ts';

const MARGIN = 10;

export function card(figures: Figures): string {
  const { base, version, prompts, chosen, strengths, gradientNorm, trials, edge, data, labels, dev, test, probe } =
    figures;
  const best = trials.toSorted((a, b) => b.worth - a.worth).slice(0, MARGIN);
  return `# The second look

Version \`${version}\`. For each window of a user's message, it turns the hidden states that reading the prompt leaves behind
into calibrated probabilities: of 14 harm categories, of \`jailbreak\` and of \`any_harm\`. Each is a logistic regression.
The strictest window counts. Licence of the weights: Apache-2.0.

It reads **${base.id}** (SHA-256 \`${base.digest}\`), ${base.row === 'safety' ? "the safety expert's row" : 'without any expert'}, after layers ${chosen.layers.join(', ')} (counted from 0),
${chosen.poolings.join(' and ')}, in windows of ${chosen.window} tokens. On another model, or under another safety expert, its numbers mean nothing.

## Data

${prompts.train} prompts trained it, ${prompts.dev} chose its settings and calibrated it, ${prompts.test} measured it. ${prompts.leftOut} prompts of more
than ${prompts.mostTokens} tokens were left out. Only sources whose licence lets anyone use what is made from them shaped the weights or the
calibration; the others helped to choose layers, pooling and window, and to measure.

${table(
  ['source', 'licence', 'in the weights', 'train', 'dev', 'test'],
  data.map(({ source, licence, inWeights, train, dev: onDev, test: onTest }) => [
    source,
    licence,
    inWeights ? 'yes' : 'no',
    train,
    onDev,
    onTest,
  ]),
)}

## What was chosen on dev

Half of what counts is telling pairs in nearly the same words apart; the other half is telling harmful prompts from
ordinary ones, each source counting once. The best of ${trials.length} trials:

${table(
  ['layers', 'pooling', 'window', 'l2', 'mean ROC-AUC'],
  best.map(({ reading, l2, worth }) => [
    reading.layers.join(', '),
    reading.poolings.join(' and '),
    reading.window,
    l2,
    figure(worth),
  ]),
)}

Strength of the pull towards 0: ${strengths.any_harm} for \`any_harm\`, ${strengths.labels} for the labels. The gradient's length at the end of the
fit: ${gradientNorm.toExponential(1)}.

## On test, beside the edge's classifier

Rows from which neither the probe nor the edge's classifier (\`${edge}\`) has learned. *Both* is a logistic regression
over the two scores, fitted on such rows of dev. Recall is at the threshold that flags 1 % of ${test.ordinary} ordinary
harmless prompts.

${comparison(test.sets)}

Harmless prompts in harmful words that are flagged at that threshold:

${frightenedTable(test.frightened)}

## The probe alone, on all of test

The edge's classifier has learned from some of these rows; the probe has not.

${table(
  ['set', 'by', 'positives', 'ROC-AUC', 'recall'],
  probe.map(({ set, by, positives, auc, recall }) => [set, by, positives, figure(auc), percent(recall)]),
)}

Each judgement, over all prompts of test whose source says something about it:

${table(
  ['judgement', 'positives', 'ROC-AUC'],
  labels.map(({ label, positives, auc }) => [label, positives, auc === null ? '-' : figure(auc)]),
)}

## On sources that it never saw

A probe with the same settings, trained without the source and others like it, against ordinary prompts of sources
that train nothing:

${table(
  ['source', 'positives', 'ROC-AUC', 'recall'],
  figures.leftOut.map(({ source, positives, auc, recall }) => [source, positives, figure(auc), percent(recall)]),
)}

## On dev

As above; the settings were chosen here, so these figures flatter.

${comparison(dev.sets)}
`;
}

/** ROC-AUC and recall of edge, probe and both, a line for each set. */
export function comparison(sets: readonly Compared[]): string {
  return table(
    [
      'set',
      'by',
      'positives',
      ...SCORES.map((score) => `ROC-AUC ${score}`),
      ...SCORES.map((score) => `recall ${score}`),
    ],
    sets.map(({ set, by, positives, figures }) => [
      set,
      by,
      positives,
      ...SCORES.map((score) => figure(figures[score].auc)),
      ...SCORES.map((score) => percent(figures[score].recall)),
    ]),
  );
}

/** How many harmless prompts in harmful words each score flags, by source. */
export function frightenedTable(rows: Figures['test']['frightened']): string {
  return table(
    ['source', 'prompts', ...SCORES],
    rows.map((row) => [row.source, row.prompts, ...SCORES.map((score) => percent(row[score]))]),
  );
}

function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

const figure = (value: number) => (Number.isFinite(value) ? value.toFixed(3) : '-');
const percent = (value: number) => (Number.isFinite(value) ? `${Math.round(100 * value)} %` : '-');
