/**
 * The model card, from one run's report. Every figure in it comes from there; the sentences say
 * what they can bear.
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

Version \`${version}\`. Calibrated probabilities for a prompt: of 14 harm categories, of \`jailbreak\`, and of \`any_harm\`, harm of
whatever category. Linear over hashed word 1-2-grams, pairs of words with one between, the first words and character 3-5-grams, int8; one extra column says whether there is harm
at all, and categories are learned among harmful prompts only. Written by \`${command}\` (${list(settings)}), figures included.

Size: ${kilobytes(bytes.model)} KB, ${kilobytes(bytes.gzip)} KB gzipped. The weights are Apache-2.0, like the project.

## Data that shaped the weights

Only sources whose licence lets anyone use and pass on what is made from them. Rows are prompts after removing exact doubles;
near-duplicates are on one side of the split together, and no held-out prompt is in training or calibration (checked in the run).

${table(
  ['source', 'licence', 'train', 'calibration', 'held out'],
  data.map(({ source, licence, train, calibration, heldout }) => [source, licence, train, calibration, heldout]),
)}

Attribution: SimpleSafetyTests (Vidgen et al., 2023, CC-BY-4.0), Taskmaster-4 (Google, CC-BY-4.0), C4 sample (Common Crawl and AI2, ODC-BY).

## On held-out prompts (${heldoutRows})

Of the training data's own kind, so the easy part: read on for strangers' prompts. ROC-AUC, recall at the threshold that flags
1 % of a label's negatives, and expected calibration error over ten bins, without calibration and with it. A label's negatives are benign prompts and other categories' prompts; rows whose source leaves the label open count on neither side.

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

Mean ROC-AUC ${figure(mean(labels.flatMap(({ auc }) => auc ?? [])), 3)}; mean ECE ${figure(mean(labels.flatMap(({ eceUncalibrated }) => eceUncalibrated ?? [])), 4)} before and ${figure(mean(labels.flatMap(({ ece }) => ece ?? [])), 4)} after. Unsafe of any kind against benign, by the largest label: ROC-AUC ${figure(any.auc, 3)}, recall ${figure(any.recallAtOnePercent, 2)}
at 1 % FPR; with "flagged" as any label above 0.5: ${share(any.unsafe)} of the unsafe, ${share(any.benign)} of the benign.

![Reliability plot: what was said against how often it was true, for all judgements together and for each](reliability.svg)

**Over-flagging**, safe prompts full of frightening words, flagged:

${table(
  ['source', 'flagged'],
  Object.entries(report.overFlagging).map(([source, flags]) => [source, share(flags)]),
)}

${worldTable('the demo bundle knows', world.demo)}

${worldTable('it does not know', world.others)}

**int8 against float**: mean ROC-AUC ${figure(quantization.int8Auc, 4)} against ${figure(quantization.floatAuc, 4)}, mean ECE ${figure(quantization.int8Ece, 4)} against ${figure(quantization.floatEce, 4)};
probabilities differ by ${figure(quantization.meanGap, 5)} on average and ${figure(quantization.largestGap, 3)} at most, and ${quantization.flippedFlags} of ${quantization.rows} prompts are flagged by one and not by the other.

## On sources left out

One model for each group of sources (\`lab/classifier/folds.ts\`), trained like this one but without that group, scores the group's prompts
(at most 300 of a side). By \`any_harm\`, or \`jailbreak\` where a source has nothing else: harmful prompts against harmless ones from elsewhere (Alpaca, Dolly, WildChat), shares of either side
above ${ramp.from}, where the preset policies' ramp begins (a \`jailbreak\` above 0.5), and the calibration error after calibration. Calibration is fitted on the same scores, each source counting
alike and half of them unsafe; only our own prompts are calibrated by those that trained nothing and asked of this model, since a model without them is another.

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

Pairs of a harmless and a harmful prompt. Templates are split whole, so no pattern of a held-out pair was trained on; \`contrast-check.json\` trains
nothing at all. Settings and ramp were chosen on the templates for choosing and on that file, and own prompts were added after reading which of its pairs
were missed (subjects and verbs, not its sentences): its figures flatter. The held-out templates chose nothing, but were printed between runs.

${table(
  ['pairs', 'number', 'by', 'ROC-AUC', `unsafe above ${ramp.from}`, `safe above ${ramp.from}`],
  contrast.map(({ set, pairs, by, auc, unsafeRising, safeRising }) => [
    set,
    pairs,
    `\`${by}\``,
    figure(auc, 3),
    percent(unsafeRising),
    percent(safeRising),
  ]),
)}

Another start of the ramp, unsafe and safe above it:

${table(
  ['pairs', ...contrast[0]!.curve.map(({ from }) => `${from}`)],
  contrast.map(({ set, curve }) => [set, ...curve.map(({ unsafe, safe }) => `${percent(unsafe)}, ${percent(safe)}`)]),
)}

## In code

Held-out prompts as a code between words that ask to decode and answer it. Harmless ones: how many are above 0.5 as a \`jailbreak\`, or in a category;
harmful ones: how many are still found by what they decode to.

${table(
  ['code', 'harmless, `jailbreak`', 'harmless, a category', 'harmful, found'],
  encoded.map(({ code, jailbreak, harm, found }) => [code, percent(jailbreak), percent(harm), percent(found)]),
)}

## Under attack

${attacked.harmful} held-out harmful prompts that are flagged as they stand and ${attacked.benign} harmless ones that are not, each in every disguise
(\`lab/classifier/attacks.ts\`): how many are flagged in one of the 14 categories before, with the defences against that disguise switched
off, and after, with all of them on. The weights are the same and learned no category from a disguised text; what lies between the columns is reading.

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

Data sets whose licence keeps them out of training (non-commercial, share-alike or unclear). They measured the weights and did not
shape them; they are the better guess at what a stranger's prompts meet.

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

ROC-AUC is of the source's unsafe prompts against the benign ones of all these sources.

Unsafe against benign over all of them: ROC-AUC ${figure(elsewhere.any.auc, 3)}, recall ${figure(elsewhere.any.recallAtOnePercent, 2)} at 1 % FPR. Per label:

${table(
  ['label', 'positives', 'negatives', 'ROC-AUC'],
  elsewhere.labels
    .filter(({ auc }) => auc !== undefined)
    .map(({ label, positives, negatives, auc }) => [label, positives, negatives, figure(auc, 3)]),
)}

## Limits

- It knows words, not meaning. A request in words that training never saw reads as benign. One in a language other than English is no more
  likely to be found; it is called \`uncertain\`, which a policy prices.
- It is one signal that raises floors, not a filter: most of the safety is in the decoding. Do not refuse on it alone.
- Disguises outside the table above are not undone: other ciphers, translation, phonetic spelling, pictures of letters, synonyms, a question
  split over several messages. The table has the disguises that the defences were written for; whoever invents a new one starts at "before".
- The first 64,000 characters are read, all of them; a text that goes on is \`unread\`, which a policy prices.
- One bad sentence in a long harmless text has to be a little clearer than one that stands alone, and a bad clause in a harmless sentence
  clearer still. A harm that is spread over sentences that are each harmless is not seen.
- Much of what is harmful stays below 0.5: of the unsafe prompts from elsewhere ${share(elsewhere.any.unsafe)} are above it, of the benign ones
  ${share(elsewhere.any.benign)}. A policy that has to catch more begins its ramps lower.
- A code says nothing by itself: what it decodes to is judged. Codes that the edge cannot read are \`uncertain\` where they are most of a text;
  shared/classify/README.md says which it reads.
- A probability means what it says where half of the prompts are unsafe and come from sources it has not seen, each source counting alike. In traffic with less harm it is
  too high, and on prompts of its own sources too low for harm; a single source can be off by as much as the table above says.
- Contrast is hard for it: with the ramp at ${ramp.from} ${percent(1 - contrast[0]!.unsafeRising)} of the held-out unsafe sides pass below it and ${percent(contrast[0]!.safeRising)} of the safe sides do not.
- Several public sets were written by a model, and the project's own three for this purpose, contrast pairs and their check among them; their style is
  part of what was learned and of what is measured.
- Safe and unsafe advice in nearly the same words is mostly beyond it (\`dangerous_practices\` on prompts from elsewhere).
- The small world's borderline questions are taught as 0.7, between harmful and ordinary; they count in ECE and in no ROC-AUC per label.
- ECE is small partly because most rows are clear negatives of most labels. Held-out positives of some labels are few, so
  their figures are rough. Learning rate, L2, weights of sources and n-gram shape were chosen with the prompts from elsewhere,
  HarmBench's left-out rows and the contrast pairs for choosing in view: no source here is wholly unseen by whoever chose.

## Left out of the weights

${table(
  ['source', 'licence', 'reason'],
  excluded.map(([source, { licence, reason }]) => [source, licence, reason]),
)}
`;
}

function worldTable(which: string, { harmfulAuc, borderlineAuc, kinds }: Report['world']['demo']): string {
  return `**The small world**, held-out wordings of topics that ${which}, by the largest label (harmful against ordinary: ROC-AUC
${figure(harmfulAuc, 3)}; borderline against ordinary: ${figure(borderlineAuc, 3)}):

${table(
  ['questions', 'flagged', '10 % below', 'median', '90 % below'],
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
