/** The settings that determine each stage's results. The defaults come from the demo's recipe. */
import * as z from 'zod';
import { ExpertRole } from '#gpu-backend/model/manifest.ts';
import { DEMO } from '#lab/methods/recipe.ts';
import { EDITIONS } from '#lab/world/editions.ts';
import { BackendMode } from '#shared/line/line.ts';
import { DIALOGUE_LAYOUTS } from '#training/data/dialogues.ts';
import { PREFERENCE_LAYOUTS } from '#training/data/preferences.ts';
import { DEFAULT_TARGETS } from '#training/graphs/lora.ts';
import { SCHEDULES } from '#training/optim/adamw.ts';
import type { Pace } from '#training/run/extent.ts';
import { DUAL_DEFINITIONS } from '#training/stages/dual-pairs.ts';
import { MARGIN_RULES } from '#training/stages/margin-model.ts';
import { HELD_OUT_SHARE } from '#training/stages/preference-data.ts';

const { base, expert, score, router } = DEMO;

const seed = z.int().default(DEMO.seed).describe('decides data, order and weights');
const positive = z.number().positive();
const share = z.number().min(0).max(1);
const count = z.int().min(1);

const edition = z
  .enum(EDITIONS)
  .default(DEMO.edition)
  .describe("edition of the small world: the demo bundle's topics, or all");

const worldShares = {
  jailbreakShare: share
    .default(0)
    .describe(
      'share of harmful questions put in a jailbreak frame; borderline ones get half of it, ordinary ones a tenth',
    ),
  multiTurnShare: share.default(0).describe('share of small-world rows with a conversation before the question'),
};

const origins = {
  licence: z
    .array(z.string())
    .default([])
    .describe(
      'SPDX licence of the files whose rows do not say it, one for all or one for each; own: you wrote them, unknown: weights stay private',
    ),
  source: z
    .array(z.string())
    .default([])
    .describe(
      "where the files are from, for the bundle's provenance; one for all or one for each (default: what their rows say)",
    ),
};

const corpus = {
  seed,
  edition,
  ...worldShares,
  world: z.int().min(0).default(base.runs[0].worldDialogues).describe('dialogues of the small world; 0: none'),
  dialogues: z
    .array(z.string())
    .default([])
    .describe(`your own dialogues, LAYOUT:FILE; layouts: ${Object.keys(DIALOGUE_LAYOUTS).join(', ')}`),
  ...origins,
  heldOut: share.default(HELD_OUT_SHARE).describe('share of the prompts of --dialogues kept from training'),
  realShare: share.default(base.corpus.realShare).describe('share of real conversations in the corpus'),
  wordDropout: share.default(base.corpus.wordDropout).describe('chance that a word of a question is dropped'),
  keywordShare: share.default(0).describe("chance that a question is nothing but its topic's keywords"),
};
const pairs = {
  seed,
  edition,
  ...worldShares,
  worldPairs: z.int().min(0).default(DEMO.pairs.count).describe('pairs of the small world'),
  pairs: z
    .array(z.string())
    .default([])
    .describe(`more pairs, LAYOUT:FILE; layouts: ${Object.keys(PREFERENCE_LAYOUTS).join(', ')}`),
  ...origins,
  heldOut: share.default(HELD_OUT_SHARE).describe('share of the prompts of --pairs kept from training'),
};
const pace = {
  maxSteps: z.int().min(0).default(0).describe('stop after this many updates; 0: no limit'),
  schedule: z
    .enum(SCHEDULES)
    .default('cosine')
    .describe('the learning rate after the warm-up; a run of a constant one can be made longer later'),
  warmupSteps: z
    .int()
    .min(0)
    .default(0)
    .describe('updates in which the learning rate rises; 0: a tenth of all, or 100 for sft'),
  accumulate: count.default(1).describe('batches in one update; their gradients are averaged'),
};
/** The settings of a stage that `Pace` has. */
export const paceOf = ({
  learningRate,
  epochs,
  maxSteps,
  schedule,
  warmupSteps,
  accumulate,
}: Required<Omit<Pace, 'steps'>>): Pace => ({
  ...{ learningRate, epochs, maxSteps, schedule, warmupSteps, accumulate },
});
const pairTraining = ({ learningRate, pairsPerBatch, epochs }: typeof expert | typeof score | typeof router) => ({
  learningRate: positive.default(learningRate).describe('peak of the schedule'),
  pairsPerBatch: count.default(pairsPerBatch).describe('pairs in one batch'),
  epochs: positive.default(epochs).describe('passes over the pairs; may be a fraction'),
  ...pace,
});
const lora = ({ rank, alpha }: typeof expert | typeof score) => ({
  rank: count.default(rank).describe('LoRA rank'),
  alpha: positive.default(alpha).describe('LoRA alpha; the scale is alpha / rank'),
  targets: z
    .array(z.string())
    .default([...DEFAULT_TARGETS])
    .describe('modules that get LoRA, such as q_proj v_proj; a router over layers needs down_proj alone'),
});
const variant = z
  .enum(['faithful', 'corrected'])
  .default('corrected')
  .describe("MidPO's published code: with its faults, or corrected");

export const TokenizerStage = z.strictObject({
  ...corpus,
  vocab: count.default(DEMO.config.vocab_size).describe('size of the vocabulary'),
});

export const SftStage = z.strictObject({
  ...corpus,
  steps: count.default(base.runs[0].steps).describe('number of updates'),
  epochs: z.number().min(0).default(0).describe('passes over the corpus, instead of --steps; 0: --steps'),
  ...pace,
  tokensPerBatch: count.default(base.sft.tokensPerBatch).describe('tokens in one batch'),
  learningRate: positive.default(base.runs[0].learningRate).describe('peak of the schedule'),
  promptWeight: share
    .default(base.sft.promptWeight)
    .describe('how much a question token counts; an answer token counts 1'),
  openingTokens: z
    .int()
    .min(0)
    .default(base.sft.opening.tokens)
    .describe("how many of an answer's first tokens count more"),
  openingWeight: positive.default(base.sft.opening.weight).describe('how much they count'),
});

export const ExpertStage = z.strictObject({
  role: ExpertRole.describe('which expert'),
  ...pairs,
  ...lora(expert),
  beta: positive.default(expert.beta).describe("DPO's beta"),
  nllWeight: z
    .number()
    .min(0)
    .default(expert.nllWeight)
    .describe("weight of the chosen answers' own likelihood; 0 is plain DPO"),
  margin: z
    .enum(['none', ...MARGIN_RULES])
    .default('none')
    .describe("none: plain DPO; spe: MidPO's margin; modpo: MODPO's margin; the last two need --margin-model"),
  marginScale: positive.default(1).describe('what a margin is multiplied by'),
  ...pairTraining(expert),
  variant,
});

export const ScoreStage = z.strictObject({
  ...pairs,
  ...lora(score),
  rank: z.int().min(0).default(score.rank).describe('LoRA rank; 0: the base stays as it is, only the head learns'),
  ...pairTraining(score),
});

export const RankStage = z.strictObject({
  ...pairs,
  definition: z.enum(DUAL_DEFINITIONS).default(DEMO.dual).describe('which of two answers wins; explained below'),
});

export const RouterStage = z.strictObject({
  kind: BackendMode.describe("layers: MidPO's own; logits: a gate over both experts' last hidden states"),
  seed,
  variant,
  width: count.default(router.width).describe('units in the hidden layer of a logits router'),
  beta: positive.default(router.beta).describe("DPO's beta"),
  lambda: z.number().min(0).default(1).describe('weight of mean |alpha| + mean |beta - 1|'),
  ...pairTraining(router),
});
