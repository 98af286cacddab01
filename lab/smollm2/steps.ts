/** The recipe's steps, in their order. */

import { writeCard } from './card.ts';
import { inside, type RecipeContext } from './context.ts';
import { DATA_OUTPUT, dataInputs, dataStep } from './data-step.ts';
import { DUAL_OUTPUT, dualStep } from './dual-step.ts';
import { ADAPTER_DTYPE, BUNDLE_OUTPUT, exportDigest, exportStep } from './export-step.ts';
import { HEADS_OUTPUT, headsStep } from './heads-step.ts';
import { learnExpert, learnRouter, learnScore, runDigest, runFolder } from './learn-steps.ts';
import { drawOwnAnswers } from './own-answers.ts';
import { ANSWERS_OUTPUT, PAIRS_OUTPUT, pairsStep } from './pairs-step.ts';
import { PROBES_FOLDER, probesDigest, probesInputs, probesStep } from './probes-step.ts';
import { readPromptRows } from './recipe-rows.ts';
import type { Settings } from './settings.ts';
import { OVER_REFUSAL, REFUSED, SOURCES } from './sources.ts';
import { digestOfFiles, digestOfJson, type Step } from './step-records.ts';

export const STEP_NAMES = [
  'data',
  'answers',
  'pairs',
  'reward',
  'cost',
  'dual',
  'safety',
  'helpfulness',
  'layers',
  'logits',
  'probes',
  'export',
  'heads',
  'card',
] as const;
export type StepName = (typeof STEP_NAMES)[number];
type RecipeStep = Step<StepName, RecipeContext>;

const CARD_OUTPUT = `${BUNDLE_OUTPUT}/README.md`;

/** A step whose output is files. */
function filesStep(
  name: StepName,
  writes: readonly string[],
  step: Pick<RecipeStep, 'needs' | 'inputs' | 'run'>,
): RecipeStep {
  return { name, writes, ...step, digest: ({ out }) => digestOfFiles(out, writes) };
}

/** A step that trains. What it learns from decides it, the base, and the settings of its stage. */
function learnStep(
  name: Parameters<typeof runDigest>[1],
  step: { needs: readonly StepName[]; settings: (settings: Settings) => object; run: RecipeStep['run'] },
): RecipeStep {
  return {
    name,
    needs: step.needs,
    inputs: ({ settings, baseDigest }) => ({ base: baseDigest, seed: settings.seed, ...step.settings(settings) }),
    writes: [runFolder(name)],
    goesOn: true,
    run: step.run,
    digest: (context) => runDigest(context, name),
  };
}

/** Only the step `heads` reads the test budgets. */
const learnedFrom = ({ train, dev }: Settings['pairs']['safer']) => ({ train, dev });

export const STEPS: readonly RecipeStep[] = [
  filesStep('data', Object.values(DATA_OUTPUT), { needs: [], inputs: dataInputs, run: dataStep }),
  filesStep('answers', [ANSWERS_OUTPUT], {
    needs: ['data'],
    inputs: ({ settings, baseDigest }) => ({ base: baseDigest, seed: settings.seed, ...settings.answers }),
    run: async (context) => {
      const { base, baseDigest, settings, threads } = context;
      await drawOwnAnswers({
        bundle: base,
        base: baseDigest,
        prompts: await readPromptRows(inside(context, DATA_OUTPUT.prompts)),
        sampling: settings.answers,
        seed: settings.seed,
        file: inside(context, ANSWERS_OUTPUT),
        threads,
      });
    },
  }),
  filesStep('pairs', PAIRS_OUTPUT, {
    needs: ['data', 'answers'],
    inputs: ({ settings: { seed, pairs, maxRowTokens, score, expert } }) => ({
      seed,
      budgets: { safer: learnedFrom(pairs.safer), better: learnedFrom(pairs.better) },
      maxRowTokens,
      pairsPerBatch: [score.pairsPerBatch, expert.pairsPerBatch],
    }),
    run: pairsStep,
  }),
  ...(['reward', 'cost'] as const).map((kind) =>
    learnStep(kind, { needs: ['pairs'], settings: ({ score }) => score, run: (context) => learnScore(context, kind) }),
  ),
  filesStep('dual', DUAL_OUTPUT, {
    needs: ['data', 'answers', 'reward', 'cost'],
    inputs: ({ settings: { seed, dual, maxRowTokens, router } }) => ({
      seed,
      dual,
      maxRowTokens,
      pairsPerBatch: router.pairsPerBatch,
    }),
    run: dualStep,
  }),
  learnStep('safety', {
    needs: ['pairs', 'cost'],
    settings: ({ expert }) => ({ ...expert, besides: OVER_REFUSAL }),
    run: (context) => learnExpert(context, 'safety'),
  }),
  learnStep('helpfulness', {
    needs: ['pairs', 'reward'],
    settings: ({ expert }) => expert,
    run: (context) => learnExpert(context, 'helpfulness'),
  }),
  ...(['layers', 'logits'] as const).map((kind) =>
    learnStep(kind, {
      needs: ['dual', 'safety', 'helpfulness'],
      settings: ({ router: { lambda, ...router } }) => ({ ...router, lambda: lambda[kind] }),
      run: (context) => learnRouter(context, kind),
    }),
  ),
  {
    name: 'probes',
    needs: ['safety'],
    inputs: probesInputs,
    writes: [PROBES_FOLDER],
    goesOn: true,
    run: probesStep,
    digest: probesDigest,
  },
  {
    name: 'export',
    needs: ['pairs', 'dual', 'safety', 'helpfulness', 'layers', 'logits', 'probes'],
    inputs: ({ settings: { seed, scale, defaultWeight, ships, sampling }, baseDigest }) => ({
      base: baseDigest,
      seed,
      scale,
      defaultWeight,
      routers: ships,
      adapters: ADAPTER_DTYPE,
      sampling,
      sources: digestOfJson(SOURCES),
    }),
    writes: [BUNDLE_OUTPUT],
    run: exportStep,
    digest: exportDigest,
  },
  filesStep('heads', [HEADS_OUTPUT], {
    needs: ['data', 'answers', 'pairs', 'reward', 'cost'],
    inputs: ({ settings: { seed, pairs, maxRowTokens, score } }) => ({
      seed,
      test: { safer: pairs.safer.test, better: pairs.better.test },
      maxRowTokens,
      pairsPerBatch: score.pairsPerBatch,
    }),
    run: headsStep,
  }),
  filesStep('card', [CARD_OUTPUT], {
    needs: STEP_NAMES.filter((name) => name !== 'card'),
    inputs: ({ settings }) => ({ settings: digestOfJson(settings), sources: digestOfJson({ SOURCES, REFUSED }) }),
    run: (context) => writeCard(context, inside(context, CARD_OUTPUT)),
  }),
];
