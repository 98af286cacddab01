/** The model card: what the data is and where it is from, its lengths, and what was learned. */
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { type LastFigures, lastFigures } from '#training/run/last-figures.ts';
import { formatSeconds } from '#training/run/progress.ts';
import { replaceFile } from '#training/run/write-file.ts';
import { comparison, frightenedTable } from '../probes/card.ts';
import { inside, MODEL_ID, type RecipeContext } from './context.ts';
import { DATA_OUTPUT } from './data-step.ts';
import { DUAL_REPORT, dualOutput } from './dual-step.ts';
import { HEADS_OUTPUT, HeadsReport } from './heads-step.ts';
import { runFolder } from './learn-steps.ts';
import { readAnswers } from './own-answers.ts';
import { ANSWERS_OUTPUT, PAIRS_REPORT, pairsOutput, SIDES } from './pairs-step.ts';
import { PROBES_FIGURES } from './probes-step.ts';
import { readPairRows, sourcesOf } from './recipe-rows.ts';
import { commandOf } from './settings.ts';
import { describeSource, REFUSED } from './sources.ts';

const Lengths = z.object({
  pairs: z.number(),
  chosenLonger: z.number(),
  lengthAlone: z.number(),
  medianChosen: z.number(),
  medianRejected: z.number(),
});
const Families = z.record(
  z.string(),
  z.object({ before: Lengths, balanced: Lengths, chosen: Lengths, tokens: z.number() }),
);
const DataReport = z.object({
  refused: z.record(z.string(), z.number()),
  near: z.object({ pairs: z.number(), prompts: z.number() }),
});
const DualReport = z.record(
  z.string(),
  z.object({ leftOutOfOwnAnswers: z.record(z.string(), z.number()), lengths: Families }),
);
type Families = z.infer<typeof Families>;
/** JSON has no NaN: null, where a set has too few prompts. */
const Share = z
  .number()
  .nullable()
  .transform((share) => share ?? Number.NaN);
const Scores = z.object({ auc: Share, recall: Share });
const ProbeFigures = z.object({
  version: z.string(),
  prompts: z.object({ train: z.number(), dev: z.number(), test: z.number() }),
  chosen: z.object({ layers: z.array(z.number()), poolings: z.array(z.string()), window: z.number() }),
  data: z.array(z.object({ source: z.string(), licence: z.string(), inWeights: z.boolean() })),
  test: z.object({
    ordinary: z.number(),
    sets: z.array(
      z.object({
        set: z.string(),
        by: z.enum(['any_harm', 'jailbreak']),
        positives: z.number(),
        figures: z.object({ edge: Scores, probe: Scores, both: Scores }),
      }),
    ),
    frightened: z.array(z.object({ source: z.string(), prompts: z.number(), edge: Share, probe: Share, both: Share })),
  }),
});
type ProbeFigures = z.infer<typeof ProbeFigures>;

const ROUTER_PLACES = { layers: 'in the layers', logits: 'over the logits' } as const;
const RUNS = ['reward', 'cost', 'safety', 'helpfulness', 'layers', 'logits'] as const;

const cells = (row: readonly (string | number)[]) => `| ${row.join(' | ')} |`;
const table = (head: readonly string[], rows: readonly (readonly (string | number)[])[]) =>
  [cells(head), cells(head.map(() => '---')), ...rows.map(cells)].join('\n');
const percent = (value: number) => `${(100 * value).toFixed(1)} %`;

export async function writeCard(context: RecipeContext, file: string): Promise<void> {
  const read = <T>(name: string, schema: z.ZodType<T>) =>
    schema.parse(JSON.parse(readFileSync(inside(context, name), 'utf8')));
  const pairs = read(PAIRS_REPORT, z.record(z.string(), Families));
  const dual = read(DUAL_REPORT, DualReport);
  const data = read(DATA_OUTPUT.report, DataReport);
  const heads = read(HEADS_OUTPUT, HeadsReport);
  const probe = context.settings.probe.share === 0 ? null : read(PROBES_FIGURES, ProbeFigures);
  const figures: [string, LastFigures][] = [];
  for (const run of RUNS) figures.push([run, await lastFigures(inside(context, runFolder(run)))]);
  const lengths = {
    ...pairs,
    ...Object.fromEntries(Object.entries(dual).map(([side, report]) => [`D_dual, ${side}`, report.lengths])),
  };
  const { settings, baseDigest } = context;
  replaceFile(
    file,
    `# ${MODEL_ID}: what is trained on it

It has a safety expert, a helpfulness expert${settings.ships.map((kind) => `, a router ${ROUTER_PLACES[kind]}`).join('')}${probe ? ' and a probe of prompts' : ''}, for the base with the SHA-256
\`${baseDigest}\`. Where no router decides, the safety expert has the weight ${settings.defaultWeight}. Made by \`${commandOf(settings)}\`. Licence of all of it but the base: Apache-2.0.

## Data

${await sourceTable(context)}

Left out for their licence: ${refusedText(data.refused)}.

Everything was split by prompt, behaviour and topic before anything else: train, judge, dev and test
(\`lab/split/split.ts\`). ${data.near.pairs} pairs and ${data.near.prompts} prompts were left out because they nearly repeat one of a stricter part.
The base answered ${answeredText(context)}. A pair of its answers is ranked by the reward and the cost model. What that
left out of D_dual, for training: ${JSON.stringify(dual.train?.leftOutOfOwnAnswers ?? {})}.

## Length

Pairs are balanced by length: as many have the longer answer chosen as have it rejected, at every size of the
difference. *Length alone* is how many pairs a judge orders right that knows nothing but which answer is longer.

${lengthTable(lengths)}

## The reward and the cost model on test

Pairs as they come, not balanced. The second figure is what length alone gets on the same pairs, pointing the way in
which it points on the training pairs of the family before they are balanced. A model that does not beat it has learned
little else.

${headsTable(heads)}

## Training

${table(['run', 'steps', 'tokens', 'time', 'loss', 'on dev'], figures.map(trainingRow))}

The loss is the mean of the last 50 steps. *On dev* are figures of the part on which choices are made, so they flatter.
LoRA r = ${settings.expert.rank}, alpha = ${settings.expert.alpha}; experts: beta ${settings.expert.beta}, MidPO's margin times ${settings.expert.marginScale}, plus ${settings.expert.nllWeight} times the
chosen answers' own likelihood; learning rate ${settings.expert.learningRate}. D_dual by the definition *${settings.dual.definition}*.

## The second look at prompts

${probe ? probeText(probe) : 'None was trained.'}
`,
  );
}

async function sourceTable(context: RecipeContext): Promise<string> {
  const counts = new Map<string, Record<(typeof COLUMNS)[number], number>>();
  for (const side of SIDES) {
    for (const [column, file] of [
      ['safer', pairsOutput('safer', side)],
      ['better', pairsOutput('better', side)],
      ['dual', dualOutput(side)],
    ] as const) {
      for (const pair of await readPairRows(inside(context, file))) {
        for (const name of sourcesOf(pair)) {
          const own = counts.get(name) ?? { safer: 0, better: 0, dual: 0, asked: 0 };
          counts.set(name, own);
          own[name === pair.source ? column : 'asked']++;
        }
      }
    }
  }
  return table(
    [
      'source',
      'licence',
      'from',
      'pairs, safer',
      'pairs, better',
      'pairs, D_dual',
      'pairs of own answers to its prompts',
    ],
    [...counts].map(([name, own]) => {
      const { licence, from } = describeSource(name);
      return [name, licence, from, ...COLUMNS.map((column) => own[column])];
    }),
  );
}
const COLUMNS = ['safer', 'better', 'dual', 'asked'] as const;

function refusedText(refused: Readonly<Record<string, number>>): string {
  const parts = Object.entries(refused).map(([name, count]) => `${count} rows of ${name} (${REFUSED[name]})`);
  return parts.join('; ') || 'none';
}

function answeredText(context: RecipeContext): string {
  const rows = readAnswers(inside(context, ANSWERS_OUTPUT));
  const { temperature, topP, maxTokens } = context.settings.answers;
  const answers = rows.flatMap((row) => row.answers);
  const cut = answers.filter(({ finish }) => finish === 'length').length / Math.max(1, answers.length);
  return `${rows.length} prompts with ${answers.length} answers at temperature ${temperature} and top-p ${topP}; ${percent(cut)} reached ${maxTokens} tokens and were cut after their last whole sentence`;
}

function lengthTable(sets: Readonly<Record<string, Families>>): string {
  const rows = Object.entries(sets).flatMap(([set, families]) =>
    Object.entries(families).map(([family, { before, chosen }]) => [
      set,
      family,
      `${before.pairs} to ${chosen.pairs}`,
      `${percent(before.lengthAlone)} to ${percent(chosen.lengthAlone)}`,
      `${before.medianChosen} and ${before.medianRejected}`,
      `${chosen.medianChosen} and ${chosen.medianRejected}`,
    ]),
  );
  return table(
    ['set', 'family', 'pairs', 'length alone', 'median tokens before, chosen and rejected', 'median tokens after'],
    rows,
  );
}

function headsTable(heads: HeadsReport): string {
  const rows = Object.entries(heads).flatMap(([kind, families]) =>
    Object.entries(families).map(([family, { pairs, accuracy, lengthAlone, calibrationError }]) => [
      kind,
      family,
      pairs,
      percent(accuracy),
      percent(lengthAlone),
      calibrationError.toFixed(3),
    ]),
  );
  return table(['model', 'family', 'pairs', 'ordered right', 'by length alone', 'calibration error'], rows);
}

function probeText({ version, prompts, chosen, data, test }: ProbeFigures): string {
  const sources = data.filter(({ inWeights }) => inWeights).map(({ source, licence }) => `${source} (${licence})`);
  return `Probe \`${version}\` reads the safety expert's row after layers ${chosen.layers.join(', ')} (counted from 0), ${chosen.poolings.join(' and ')}, in windows of
${chosen.window} tokens. ${prompts.train} prompts trained it, ${prompts.dev} chose its settings, ${prompts.test} measured it; the parts are those of
everything else. What shaped its weights: ${sources.join('; ')}.

On test, beside the edge's classifier and both together, on rows that neither has learned from. Recall is at the
threshold that flags 1 % of ${test.ordinary} ordinary harmless prompts.

${comparison(test.sets)}

Harmless prompts in harmful words that are flagged at that threshold:

${frightenedTable(test.frightened)}`;
}

function trainingRow([run, figures]: [string, LastFigures]): string[] {
  const { step, tokens, seconds = 0, loss, heldOutAccuracy, heldOutCalibrationError, heldOutSignAccuracy } = figures;
  const onDev = [
    heldOutAccuracy !== undefined && `pairs ordered right ${percent(heldOutAccuracy)}`,
    heldOutCalibrationError !== undefined && `calibration error ${heldOutCalibrationError.toFixed(3)}`,
    heldOutSignAccuracy !== undefined && `answers on the right side of zero ${percent(heldOutSignAccuracy)}`,
  ].filter((part) => part !== false);
  return [run, `${step}`, `${tokens}`, formatSeconds(seconds), loss?.toFixed(3) ?? 'unknown', onDev.join('; ')];
}
