/**
 * The model card, written from one run's report. Every figure comes from there, and no sentence
 * claims more than the figures do.
 */

import type { Flags } from './evaluate.ts';
import { mean } from './evaluate.ts';
import { LICENCES } from './licences.ts';
import type { Report } from './report.ts';

export function card(report: Report): string {
  const { version, command, settings, bytes, data, labels, any, world, quantization, elsewhere } = report;
  const { attacks, attacked, contrast, encoded, leftOut, ramp } = report;
  const heldoutRows = data.reduce((sum, { heldout }) => sum + heldout, 0);
  const excluded = Object.entries(LICENCES).filter(([, { inWeights }]) => !inWeights);
  return `# The edge's prompt classifier

Version \`${version}\`. For each prompt it gives calibrated probabilities of 14 harm categories, of \`jailbreak\`, and
of \`any_harm\`, which is harm of any category. The model is linear, with int8 weights, over hashed features: word
1-2-grams, pairs of words with one between, the first words, and character 3-5-grams. One extra column says whether
there is harm at all. The categories are learned only among harmful prompts.

\`${command}\` wrote the model, its figures and this card, with these settings:
${list(settings)}.

Size: ${kilobytes(bytes.model)} KB, ${kilobytes(bytes.gzip)} KB gzipped. Licence of the weights: Apache-2.0, like the project.

## Data that shaped the weights

We trained only on sources whose licence lets anyone use and pass on what is made from them. The table counts prompts
without exact duplicates. Near-duplicates stay together on one side of the split. No held-out prompt is in training or
calibration. The run checks that.

${table(
  ['source', 'licence', 'train', 'calibration', 'held out'],
  data.map(({ source, licence, train, calibration, heldout }) => [source, licence, train, calibration, heldout]),
)}

Attribution: SimpleSafetyTests (Vidgen et al., 2023, CC-BY-4.0), Taskmaster-4 (Google, CC-BY-4.0), C4 sample (Common
Crawl and AI2, ODC-BY).

## On held-out prompts (${heldoutRows})

These prompts are of the same kind as the training data, so this is the easy part. Strangers' prompts come further down.
The table shows ROC-AUC, recall at the threshold that flags 1 % of a label's negatives, and the expected calibration
error (ECE) over ten bins, before and after calibration. A label's negatives are benign prompts and prompts of other
categories. Prompts whose source leaves the label open count on neither side.

${table(
  ['label', 'positives', 'negatives', 'ROC-AUC', 'recall at 1 % FPR', 'ECE before', 'ECE after'],
  labels.map(({ label, positives, negatives, auc, recallAtOnePercent, ece, eceUncalibrated }) => [
    label,
    positives,
    negatives,
    figure(auc, 3),
    figure(recallAtOnePercent, 2),
    figure(eceUncalibrated, 4),
    figure(ece, 4),
  ]),
)}

The mean ROC-AUC is ${figure(mean(labels.flatMap(({ auc }) => auc ?? [])), 3)}. The mean ECE is ${figure(mean(labels.flatMap(({ eceUncalibrated }) => eceUncalibrated ?? [])), 4)} before calibration and ${figure(mean(labels.flatMap(({ ece }) => ece ?? [])), 4)} after.

How well does the largest label tell unsafe prompts of any kind from benign ones? ROC-AUC is ${figure(any.auc, 3)}, and recall at
1 % FPR is ${figure(any.recallAtOnePercent, 2)}. A prompt is *flagged* if any label is above 0.5. That flags ${share(any.unsafe)} unsafe prompts, and
${share(any.benign)} benign ones.

![Reliability: what the model said against how often it was true, over all judgements and for each](reliability.svg)

**Over-flagging**: how many safe prompts full of frightening words are flagged.

${table(
  ['source', 'flagged'],
  Object.entries(report.overFlagging).map(([source, flags]) => [source, share(flags)]),
)}

${worldTable('the demo bundle knows', world.demo)}

${worldTable('it does not know', world.others)}

**int8 against float**: the mean ROC-AUC is ${figure(quantization.int8Auc, 4)} against ${figure(quantization.floatAuc, 4)}, and the mean ECE ${figure(quantization.int8Ece, 4)} against ${figure(quantization.floatEce, 4)}.
Probabilities differ by ${figure(quantization.meanGap, 5)} on average and ${figure(quantization.largestGap, 3)} at most. Of ${quantization.rows} prompts, ${quantization.flippedFlags} are
flagged by one model and not by the other.

## On sources left out

For each group of sources (\`lab/classifier/folds.ts\`), we trained a model like this one without that group. It scores
the group's prompts, at most 300 per source and side. The score is \`any_harm\`, or \`jailbreak\` if a source has nothing
else that is unsafe. ROC-AUC and recall compare the source's harmful prompts with harmless ones from elsewhere (Alpaca,
Dolly, WildChat). *Above* means above ${ramp.from}, where the preset policies' ramp begins, or above 0.5 for \`jailbreak\`. ECE
is after calibration.

We fitted the calibration on the same scores, as if half of the prompts were unsafe. On each side, the weight of
a source grows with the square root of its number of prompts. Our own prompts are the exception, because a model without
them would be a different one. For them we used the scores of this model on the calibration prompts, which trained
nothing.

${table(
  ['source', 'by', 'harmful', 'harmless', 'ROC-AUC', 'recall at 1 % FPR', 'harmful above', 'harmless above', 'ECE'],
  leftOut.map((line) => [
    line.source,
    `\`${line.by}\``,
    line.harmful,
    line.harmless,
    figure(line.auc, 3),
    figure(line.recallAtOnePercent, 2),
    part(line.harmfulRising),
    part(line.harmlessRising),
    figure(line.ece, 3),
  ]),
)}

## Contrast: nearly the same words

Each pair is a harmless and a harmful prompt in nearly the same words. Each template is on only one side of the split,
so the model never trained on the pattern of a held-out pair. It never trained on \`contrast-check.json\` at all.

We chose the settings and the ramp on the templates for choosing and on that file. After reading which of its pairs were
missed, we also added prompts of our own, with its subjects and verbs but not its sentences. So its figures look too
good. We chose nothing on the held-out templates, but we saw their figures between runs.

${table(
  ['set', 'pairs', 'by', 'ROC-AUC', `unsafe above ${ramp.from}`, `safe above ${ramp.from}`],
  contrast.map(({ set, pairs, by, auc, unsafeRising, safeRising }) => [
    set,
    pairs,
    `\`${by}\``,
    figure(auc, 3),
    percent(unsafeRising),
    percent(safeRising),
  ]),
)}

For other starts of the ramp, the shares of unsafe and safe prompts above the start:

${table(
  ['set', ...contrast[0]!.curve.map(({ from }) => `${from}`)],
  contrast.map(({ set, curve }) => [set, ...curve.map(({ unsafe, safe }) => `${percent(unsafe)}, ${percent(safe)}`)]),
)}

## In code

We put held-out prompts into codes, between words that ask the model to decode and answer them. For harmless prompts,
the table shows how many are above 0.5 as a \`jailbreak\`, and how many are flagged as harm. For harmful ones, it
shows how many are still found by what they decode to. *Flagged as harm* means that a category is above 0.5, or
\`any_harm\` above ${ramp.from}.

${table(
  ['code', 'harmless, `jailbreak`', 'harmless, flagged as harm', 'harmful, found'],
  encoded.map(({ code, jailbreak, harm, found }) => [code, percent(jailbreak), percent(harm), percent(found)]),
)}

## Under attack

We took ${attacked.harmful} held-out harmful prompts that are flagged as harm undisguised, and ${attacked.benign} harmless ones that are not. We put
each into every disguise (\`lab/classifier/attacks.ts\`). The table shows how many are then flagged as harm: *before* with
the defences against that disguise off, *after* with all of them on. The weights are the same, and they learned no
category from disguised text. So the difference between the columns comes from reading alone.

${table(
  ['disguise', 'harmful, before', 'harmful, after', 'harmless, before', 'harmless, after'],
  attacks.map(({ attack, without, with: full }) => [
    attack,
    percent(without.harmful),
    percent(full.harmful),
    percent(without.benign),
    percent(full.benign),
  ]),
)}

## On prompts from elsewhere

These data sets have a licence that keeps them out of training (non-commercial, share-alike or unclear). We measured the
weights on them and did not train on them. So they are the better guide to how the model does on a stranger's prompts.

${table(
  ['source', 'licence', 'unsafe flagged', 'benign flagged', 'ROC-AUC', 'recall at 1 % FPR', 'by'],
  elsewhere.sources.map(({ source, licence, unsafe, benign, by, auc, recallAtOnePercent }) => [
    source,
    licence,
    share(unsafe),
    share(benign),
    figure(auc, 3),
    figure(recallAtOnePercent, 2),
    auc === undefined ? '-' : `\`${by}\``,
  ]),
)}

ROC-AUC and recall compare the source's unsafe prompts with the benign ones of all these sources.

Over all sources together, unsafe against benign: ROC-AUC ${figure(elsewhere.any.auc, 3)}, recall ${figure(elsewhere.any.recallAtOnePercent, 2)} at 1 % FPR. Per label:

${table(
  ['label', 'positives', 'negatives', 'ROC-AUC'],
  elsewhere.labels
    .filter(({ auc }) => auc !== undefined)
    .map(({ label, positives, negatives, auc }) => [label, positives, negatives, figure(auc, 3)]),
)}

## Limits

- It is one signal that raises floors, not a filter. Most of the safety is in the decoding. Do not refuse on it alone.
- It knows words, not meaning. A request in words that it never saw in training reads as benign.
- A request in a language other than English is just as unlikely to be found. It is called \`uncertain\`, and a policy
  can price that.
- It does not undo disguises outside the table above: other ciphers, translation, phonetic spelling, pictures of
  letters, synonyms, a question split over several messages. The table has the disguises that the defences were written
  for. For a new disguise, expect the *before* column.
- It reads all of the first 64,000 characters. A longer text is \`unread\`, and a policy can price that.
- One bad sentence in a long harmless text must be a little clearer to be found than one that stands alone. A bad
  clause in a harmless sentence must be clearer still. Harm that is spread over sentences that are each harmless is not
  seen.
- Much of what is harmful stays below 0.5. Of the prompts from elsewhere, ${share(elsewhere.any.unsafe)} unsafe ones are above it, and
  ${share(elsewhere.any.benign)} benign ones. A policy that must catch more begins its ramps lower.
- A code says nothing by itself. We judge what it decodes to. If the edge cannot read a code that makes up most of a
  text, the text is \`uncertain\`. shared/classify/README.md says which codes the edge reads.
- A probability means what it says for a mix in which half of the prompts are unsafe, and all come from sources that the
  model has not seen. It is too high in traffic with less harm, and too low for harmful prompts from the model's own
  sources. For a single source it can be off by as much as the table of left-out sources says.
- Contrast is hard for it. With the ramp at ${ramp.from}, ${percent(1 - contrast[0]!.unsafeRising)} of the held-out unsafe sides pass below it, and ${percent(contrast[0]!.safeRising)} of the safe
  sides do not.
- Several public sets were written by a model. The project's own three sets, including the contrast pairs and their
  check, were written for this purpose. Their style is part of what the model learned and of what we measure.
- Safe and unsafe advice in nearly the same words is mostly beyond it (\`dangerous_practices\` on prompts from elsewhere).
- Borderline questions of the small world are taught as 0.7, between harmful and ordinary. They count in ECE, but in no
  label's ROC-AUC.
- ECE is small partly because most rows are clear negatives of most labels. Some labels have few held-out positives, so
  their figures are rough.
- We chose the learning rate, L2, the weights of sources and the shape of n-grams while looking at the prompts from
  elsewhere, HarmBench's left-out rows and the contrast pairs for choosing. So we had seen something of every
  source when we chose.

## Left out of the weights

${table(
  ['source', 'licence', 'reason'],
  excluded.map(([source, { licence, reason }]) => [source, licence, reason]),
)}
`;
}

function worldTable(which: string, { harmfulAuc, borderlineAuc, kinds }: Report['world']['demo']): string {
  return `**The small world**: held-out wordings of topics that ${which}, scored by the largest label. ROC-AUC is
${figure(harmfulAuc, 3)} for harmful against ordinary questions, and ${figure(borderlineAuc, 3)} for borderline against ordinary ones.

${table(
  ['questions', 'flagged', '10th percentile', 'median', '90th percentile'],
  Object.entries(kinds).map(([kind, { p10, median, p90, ...flags }]) => [
    kind,
    share(flags),
    figure(p10, 2),
    figure(median, 2),
    figure(p90, 2),
  ]),
)}`;
}

function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

function share({ rows, flagged }: Flags): string {
  return rows === 0 ? '-' : `${((100 * flagged) / rows).toFixed(1)} % of ${rows}`;
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}

function part(share: number | undefined): string {
  return share === undefined ? '-' : percent(share);
}

function figure(value: number | undefined, digits: number): string {
  return value === undefined ? '-' : value.toFixed(digits);
}

function list(settings: Record<string, number>): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');
}

function kilobytes(bytes: number): string {
  return Math.round(bytes / 1024).toString();
}
