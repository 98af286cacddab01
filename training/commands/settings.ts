/** What decides the numbers of each stage. The demo's recipe gives the defaults. */
import * as z from 'zod';
import { ExpertRole } from '#gpu-backend/model/manifest.ts';
import { PREFERENCE_LAYOUTS } from '../data/preferences.ts';
import { DEMO } from '../demo/recipe.ts';
import { DUAL_DEFINITIONS } from '../stages/dual-pairs.ts';
import { HELD_OUT_SHARE } from '../stages/preference-data.ts';
import { EDITIONS } from '../world/editions.ts';

const { base, expert } = DEMO;

const seed = z.int().default(DEMO.seed).describe('decides data, order and weights');
const positive = z.number().positive();
const share = z.number().min(0).max(1);
const count = z.int().min(1);

const edition = z.enum(EDITIONS).default('first').describe("the small world: the demo bundle's topics, or all");

const corpus = {
  seed,
  edition,
  world: count.default(base.corpus.worldDialogues).describe('dialogues of the small world'),
  realShare: share.default(base.corpus.realShare).describe('share of real conversations in the corpus'),
  wordDropout: share.default(base.corpus.wordDropout).describe('chance of each word of a question to be lost'),
};
const pairs = {
  seed,
  edition,
  worldPairs: z.int().min(0).default(DEMO.worldPairs).describe('pairs of the small world'),
  pairs: z
    .array(z.string())
    .default([])
    .describe(`more pairs, LAYOUT:FILE; layouts: ${Object.keys(PREFERENCE_LAYOUTS).join(', ')}`),
  heldOut: share.default(HELD_OUT_SHARE).describe('share of the prompts of --pairs kept from training'),
};
const pairTraining = {
  pairsPerBatch: count.default(expert.pairsPerBatch).describe('pairs in one update'),
  epochs: count.default(expert.epochs).describe('times over the pairs'),
};
const lora = {
  rank: count.default(expert.rank).describe('LoRA rank'),
  alpha: positive.default(expert.alpha).describe('LoRA alpha; the scale is alpha / rank'),
};
const variant = z
  .enum(['faithful', 'corrected'])
  .default('corrected')
  .describe("MidPO's published code with its faults, or without");

export const TokenizerStage = z.strictObject({
  ...corpus,
  vocab: count.default(DEMO.config.vocab_size).describe('tokens in all'),
});

export const SftStage = z.strictObject({
  ...corpus,
  steps: count.default(base.sft.steps).describe('updates in all'),
  tokensPerBatch: count.default(base.sft.tokensPerBatch).describe('tokens in one update'),
  learningRate: positive.default(base.sft.learningRate).describe('peak of the schedule'),
  promptWeight: share.default(base.sft.promptWeight).describe('how much a token of the question counts'),
  openingTokens: z.int().min(0).default(base.sft.opening.tokens).describe("an answer's first tokens that count more"),
  openingWeight: positive.default(base.sft.opening.weight).describe('how much they count'),
});

export const ExpertStage = z.strictObject({
  role: ExpertRole.describe('which expert'),
  ...pairs,
  ...lora,
  beta: positive.default(expert.beta).describe("DPO's beta"),
  nllWeight: z
    .number()
    .min(0)
    .default(expert.nllWeight)
    .describe("weight of the chosen answers' own likelihood; 0: DPO alone"),
  margin: z.enum(['none', 'spe']).default('none').describe("none: plain DPO; spe: MidPO's margin, by --margin-model"),
  marginScale: positive.default(1).describe('what a margin is multiplied by'),
  learningRate: positive.default(expert.learningRate).describe('peak of the schedule'),
  ...pairTraining,
  variant,
});

export const ScoreStage = z.strictObject({
  ...pairs,
  ...lora,
  learningRate: positive.default(1e-3).describe('peak of the schedule'),
  ...pairTraining,
});

export const RankStage = z.strictObject({
  ...pairs,
  definition: z.enum(DUAL_DEFINITIONS).default('corrected').describe('which of two answers wins, see docs/training.md'),
});

export const RouterStage = z.strictObject({
  kind: z.enum(['layers', 'logits']).describe("layers: MidPO's own; logits: a gate over both experts' predictions"),
  seed,
  variant,
  width: count.default(32).describe('units of the hidden layer of a logits router'),
  beta: positive.default(0.1).describe("DPO's beta"),
  lambda: z.number().min(0).default(1).describe('weight of mean |alpha| + mean |beta - 1|'),
  learningRate: positive.default(3e-3).describe('peak of the schedule'),
  ...pairTraining,
});
