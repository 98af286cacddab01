/**
 * Every number that decides the experts of SmolLM2-135M-Instruct, but for the split's shares
 * (lab/split). Amounts of data are in tokens, because tokens are what a CPU is paid in (plan.ts
 * reckons the hours).
 */

import type { RouterKind } from '#training/graphs/router-graph.ts';
import { DEMO } from '../methods/recipe.ts';
import { type ProbeRecipe, RECIPE } from '../probes/recipe.ts';
import type { Part } from '../split/split.ts';
import type { PairShares } from '../world/generate.ts';
import type { Family } from './sources.ts';

/** Padded tokens of both answers with their prompts, by family. */
export type TokenBudgets = Readonly<Partial<Record<Family, number>>>;

type PairTraining = { learningRate: number; pairsPerBatch: number; epochs: number };
type Lora = { rank: number; alpha: number };

export type Settings = {
  seed: number;
  /** What all amounts of data were multiplied by. */
  scale: number;
  /** Pairs of the small world to choose from, by part. */
  worldPairs: Readonly<Record<Part, number>>;
  /** How the small world's pairs are asked, and which kinds of answers they compare. */
  world: { jailbreakShare: number; multiTurnShare: number; pairShares: PairShares };
  /** Pairs with a longer row are left out. */
  maxRowTokens: number;
  /** What the heads and the experts compare, and what the heads are asked at the end. */
  pairs: Readonly<Record<'safer' | 'better', Readonly<Record<'train' | 'dev' | 'test', TokenBudgets>>>>;
  /** How many prompts of each stratum the base answers, of the parts train and dev together. */
  prompts: Readonly<Record<Stratum, number>>;
  /** A prompt to answer has at most this many tokens, the template's included. */
  maxPromptTokens: number;
  answers: {
    perPrompt: number;
    temperature: number;
    topP: number;
    maxTokens: number;
    /** Requests at once. Each has a row per answer. */
    prompts: number;
  };
  dual: {
    definition: 'corrected';
    /** The most pairs of a prompt's own answers. An answer is in one of them at most. */
    pairsPerPrompt: number;
    train: TokenBudgets;
    dev: TokenBudgets;
  };
  score: Lora & PairTraining;
  expert: Lora & PairTraining & { beta: number; nllWeight: number; marginScale: number };
  router: PairTraining & { width: number; beta: number; lambda: Readonly<Record<'layers' | 'logits', number>> };
  /** How the probe is trained, and on which share of its prompts. With 0 there is none. */
  probe: ProbeRecipe & { share: number };
  /** The safety weight where no router proposes one. */
  defaultWeight: number;
  /** The routers that go into the bundle. Both are trained, and a study compares both. */
  ships: readonly RouterKind[];
  /** How the bundle samples where a client names nothing. */
  sampling: { temperature: number; top_p: number };
};

export const STRATA = [
  'world, ordinary',
  'world, borderline',
  'world, harmful',
  'everyday',
  'hh',
  'refusal-direction',
  'rasbt',
] as const;
export type Stratum = (typeof STRATA)[number];

export const SETTINGS: Settings = {
  seed: 7,
  scale: 1,
  worldPairs: { train: 3_000, judge: 600, dev: 600, test: 600 },
  // As the demo's: for an ordinary question, a refusal is never the safer answer.
  world: { ...DEMO.pairs.shares, pairShares: DEMO.pairs.pairShares },
  maxRowTokens: 256,
  pairs: {
    safer: {
      train: { world: 80_000, 'refusal-direction': 60_000, hh: 50_000, declines: 60_000 },
      dev: { world: 4_000, 'refusal-direction': 4_000, hh: 4_000, declines: 3_000 },
      test: { world: 12_000, 'refusal-direction': 20_000, hh: 20_000 },
    },
    better: {
      train: { world: 90_000, oasst: 20_000, pandalm: 70_000, politeness: 15_000, refusals: 45_000 },
      dev: { world: 5_000, oasst: 4_000, pandalm: 3_000, politeness: 1_000, refusals: 2_000 },
      test: { world: 12_000, oasst: 10_000, pandalm: 15_000, politeness: 5_000 },
    },
  },
  prompts: {
    'world, ordinary': 100,
    'world, borderline': 90,
    'world, harmful': 110,
    everyday: 260,
    hh: 220,
    'refusal-direction': 70,
    rasbt: 150,
  },
  maxPromptTokens: 128,
  // Sixteen rows at once, as many as pay on two cores.
  answers: { perPrompt: 4, temperature: 0.8, topP: 0.95, maxTokens: 112, prompts: 4 },
  dual: {
    definition: 'corrected',
    pairsPerPrompt: 2,
    train: { own: 110_000, world: 40_000, refusals: 20_000 },
    dev: { own: 9_000, world: 3_000, refusals: 1_500 },
  },
  // Two or three short pairs a batch: larger batches are slower a token.
  score: { rank: 16, alpha: 32, learningRate: 3e-4, pairsPerBatch: 3, epochs: 1 },
  expert: {
    rank: 16,
    alpha: 32,
    // Chosen on dev (26 harmful, 35 ordinary prompts, temperature 0.7): with these the safety
    // expert declines 19 and 9, with beta 0.3 and an NLL weight of 0.2 it declines 9 and 3.
    beta: 0.1,
    nllWeight: 0.5,
    marginScale: 0.1,
    learningRate: 4e-4,
    pairsPerBatch: 3,
    epochs: 1,
  },
  router: {
    width: 32,
    beta: 0.1,
    lambda: { layers: 0.1, logits: 0.3 },
    learningRate: 1e-3,
    pairsPerBatch: 3,
    epochs: 1,
  },
  probe: { ...RECIPE, share: 1 },
  // Over the logits, the constant and the router decline as often on dev: 14 of 26 harmful and 1 of
  // 35 ordinary prompts, under a floor of 0.3 and a budget of 20. So the constant ships, which is
  // simpler. A router in the layers is a mode of its own.
  defaultWeight: 0.3,
  ships: ['layers'],
  sampling: { temperature: 0.7, top_p: 0.9 },
};

/**
 * From this scale on, the probe reads all of its prompts. They cost less than an hour, and what is
 * rare among them (a category, a way of asking) is what it would lose first.
 */
const ALL_PROMPTS_FROM = 0.3;

/** The command that makes what these settings say, as far as flags can say it. */
export function commandOf({ seed, scale, probe }: Settings): string {
  return [
    'npx plimsoll train smollm2',
    ...(scale === 1 ? [] : [`--scale ${scale}`]),
    `--seed ${seed}`,
    ...(probe.share === 0 ? ['--no-probe'] : []),
  ].join(' ');
}

/** Without a second look, which a study of methods does not take. */
export function withoutProbe(settings: Settings): Settings {
  return { ...settings, probe: { ...settings.probe, share: 0 } };
}

/**
 * All amounts of data times `scale`, for a try or a smaller study. Each stays above 0. What they
 * are chosen from stays the same. Only the probe reads more: see ALL_PROMPTS_FROM.
 */
export function scaled(settings: Settings, scale: number): Settings {
  if (scale === 1) return settings;
  const times = <K extends string>(amounts: Readonly<Partial<Record<K, number>>>) =>
    // Object.entries widens the keys of a closed record to string.
    Object.fromEntries(
      Object.entries<number>(amounts as Record<string, number>).map(([name, amount]) => [
        name,
        Math.max(1, Math.ceil(amount * scale)),
      ]),
    ) as Record<K, number>;
  const sides = ({ train, dev }: Record<'train' | 'dev', TokenBudgets>) => ({ train: times(train), dev: times(dev) });
  const parts = ({ test, ...own }: Settings['pairs']['safer']) => ({ ...sides(own), test: times(test) });
  const whole = settings.scale * scale;
  return {
    ...settings,
    scale: whole,
    pairs: { safer: parts(settings.pairs.safer), better: parts(settings.pairs.better) },
    prompts: times(settings.prompts),
    dual: { ...settings.dual, ...sides(settings.dual) },
    probe: { ...settings.probe, share: Math.min(1, whole / ALL_PROMPTS_FROM) },
  };
}
