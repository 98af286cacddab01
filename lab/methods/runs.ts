/**
 * Every training run that the demo bundle and the study are made of, by name: MidPO's stages, as
 * published and as corrected, and the methods it is compared with. Each starts from the same base
 * and uses the same pairs of the small world and the demo's recipe. If a run needs another one,
 * that one is trained first. A finished run is not trained again.
 */
import path from 'node:path';
import type { ExpertRole } from '#gpu-backend/model/manifest.ts';
import type { Preference } from '#training/data/rows.ts';
import type { RouterKind, Variant } from '#training/graphs/router-graph.ts';
import type { ScoreKind } from '#training/graphs/score-graph.ts';
import type { BaseModel } from '#training/stages/base-model.ts';
import type { DualDefinition } from '#training/stages/dual-pairs.ts';
import { expertStage, ROLE_DIMENSION } from '#training/stages/expert.ts';
import { loadExpertWeights } from '#training/stages/expert-weights.ts';
import { ANY_RUN, DUAL_PAIRS } from '#training/stages/folder-kinds.ts';
import { type MarginRule, marginKind, marginModel } from '#training/stages/margin-model.ts';
import { preferenceData } from '#training/stages/preference-data.ts';
import { holdsDualPairs, rankStage, readDualPairs } from '#training/stages/rank.ts';
import { routerStage } from '#training/stages/router.ts';
import { SCORE_DIMENSION, scoreStage } from '#training/stages/score.ts';
import { loadScorer } from '#training/stages/scorer.ts';
import type { TrainingTokenizer } from '#training/tokenizer/chat-files.ts';
import type { Edition } from '../world/editions.ts';
import { type PairShares, shareSettings, type WorldShares } from '../world/generate.ts';
import { worldPairs } from '../world/training-data.ts';
import { DEMO } from './recipe.ts';

export type RunContext = {
  /** Holds one folder per run. */
  dir: string;
  seed: number;
  edition: Edition;
  worldPairs: number;
  /** Only these topics of the world. The default is all of the edition. */
  topics?: readonly string[];
  /** The shares of the pairs. The default is the world's own. */
  shares?: WorldShares;
  pairShares?: PairShares;
  base: BaseModel;
  tokenizer: TrainingTokenizer;
  threads: number;
};

type Run = {
  /** The runs whose folders this one reads. */
  needs: readonly RunName[];
  train: (context: RunContext, out: string) => Promise<void>;
};

const dirOf = (name: RunName, { dir }: RunContext) => path.join(dir, name);

const common = ({ seed, base, tokenizer, threads }: RunContext) => ({ resume: true, seed, base, tokenizer, threads });

function pairsOf(
  { seed, edition, worldPairs: count, topics, shares, pairShares }: RunContext,
  dimension: 'better' | 'safer',
) {
  const generated = worldPairs({ seed, edition, count, topics, ...shares, pairShares });
  return preferenceData({ generated, files: [], dimension });
}

const modelOf = ({ base, tokenizer, threads }: RunContext) => ({ base, padId: tokenizer.padId, threads });

const dataSettings = ({ edition, worldPairs, topics, shares = {}, pairShares }: RunContext) => ({
  edition,
  worldPairs,
  files: [],
  ...shareSettings(shares),
  ...(topics && { topics: [...topics] }),
  ...(pairShares && { pairShares }),
});

function score(kind: ScoreKind): Run {
  return {
    needs: [],
    train: async (context, out) => {
      const pairs = await pairsOf(context, SCORE_DIMENSION[kind]);
      const settings = { ...common(context), ...DEMO.score, dataSettings: dataSettings(context) };
      await scoreStage({ ...settings, ...pairs, kind, out });
    },
  };
}

/**
 * The margin as published, and as much of it as a base of this size can take (docs/training.md,
 * "How much margin, and how free a router").
 */
export const SPE_SCALE: Record<Variant, number> = { faithful: 1, corrected: 0.1 };

/**
 * Lambda as published, and values that still leave a router of this size a say (docs/training.md,
 * "How much margin, and how free a router").
 */
export const ROUTER_LAMBDA = { 'layers-faithful': 1, layers: 0.1, logits: 0.3 } as const;

/** The settings of the published experts: beta, no NLL term, three epochs at a small rate. */
const PUBLISHED_EXPERT = { beta: 0.1, nllWeight: 0, learningRate: 1e-5, epochs: 3 } as const;

type ExpertRun = {
  role: ExpertRole;
  /** If left out, the run is plain DPO. */
  margin?: MarginRule;
  variant?: Variant;
  /** The run whose expert this one starts from and is measured against. The default is the base. */
  from?: RunName;
};

function expert({ role, margin, variant = 'corrected', from }: ExpertRun): Run {
  // Both of MODPO's weights are a half, so its eq. 9 is DPO at twice the beta, minus the other
  // model's whole margin.
  const beta = margin === 'modpo' ? 2 * DEMO.expert.beta : DEMO.expert.beta;
  const judge = margin && marginKind(role, margin);
  return {
    needs: [...(judge ? [judge] : []), ...(from ? [from] : [])],
    train: async (context, out) => {
      const loadMargin = async (wanted: ScoreKind, rule: MarginRule) => {
        const scorer = await loadScorer(dirOf(wanted, context), { ...modelOf(context), wanted });
        return marginModel(scorer, { name: wanted, rule, scale: rule === 'spe' ? SPE_SCALE[variant] : 1 });
      };
      const start = from && (await loadExpertWeights(dirOf(from, context), context.base));
      await expertStage({
        ...common(context),
        ...DEMO.expert,
        ...(variant === 'faithful' && PUBLISHED_EXPERT),
        ...(await pairsOf(context, ROLE_DIMENSION[role])),
        ...(variant === 'corrected' && { beta }),
        variant,
        role,
        from: from && start ? { ...start, name: from } : null,
        margin: margin && judge ? await loadMargin(judge, margin) : null,
        out,
        dataSettings: dataSettings(context),
      });
    },
  };
}

/**
 * One policy on both labels: half of the pairs carry one label, half the other, so that it sees as
 * many pairs as an expert does.
 */
const both: Run = {
  needs: [],
  train: async (context, out) => {
    const [safer, better] = [await pairsOf(context, 'safer'), await pairsOf(context, 'better')];
    const halves = (side: 'train' | 'heldOut'): Preference[] => [
      ...safer[side].filter((_, i) => i % 2 === 0).map((pair) => ({ ...pair, better: pair.safer })),
      ...better[side].filter((_, i) => i % 2 === 1),
    ];
    await expertStage({
      ...common(context),
      ...DEMO.expert,
      train: halves('train'),
      heldOut: halves('heldOut'),
      role: 'helpfulness',
      from: null,
      margin: null,
      out,
      dataSettings: { ...dataSettings(context), labels: 'both, half and half' },
    });
  },
};

function dual(definition: DualDefinition): Run {
  return {
    needs: ['reward', 'cost'],
    train: async (context, out) => {
      if (await holdsDualPairs(out)) return;
      const models = modelOf(context);
      const reward = await loadScorer(dirOf('reward', context), { ...models, wanted: 'reward' });
      const cost = await loadScorer(dirOf('cost', context), { ...models, wanted: 'cost' });
      const pairs = await pairsOf(context, 'safer');
      const { base, tokenizer } = context;
      const summaries = await rankStage({ ...pairs, definition, reward, cost, base, tokenizer, out });
      for (const [side, { kept, read }] of Object.entries(summaries)) {
        process.stderr.write(`${out}: ${side}: ${kept} of ${read} pairs\n`);
      }
    },
  };
}

type RouterRun = {
  kind: RouterKind;
  variant: Variant;
  lambda: number;
  dual: RunName;
  safety: RunName;
  helpfulness: RunName;
};

function router({ kind, variant, lambda, dual, safety, helpfulness }: RouterRun): Run {
  return {
    needs: [dual, safety, helpfulness],
    train: async (context, out) => {
      const expertOf = (name: RunName, wanted: ExpertRole) =>
        loadExpertWeights(dirOf(name, context), context.base, { wanted });
      await routerStage({
        ...common(context),
        ...DEMO.router,
        kind,
        variant,
        lambda,
        safety: await expertOf(safety, 'safety'),
        helpfulness: await expertOf(helpfulness, 'helpfulness'),
        ...(await readDualPairs(dirOf(dual, context), context.base)),
        out,
        dataSettings: { dual, safety, helpfulness },
      });
    },
  };
}

const corrected = { dual: 'dual', safety: 'spe-safety', helpfulness: 'spe-helpfulness', variant: 'corrected' } as const;

/** `dual-faithful` has the pairs that the published trainer reads (stages/dual-pairs.ts). */
const faithful = {
  dual: 'dual-faithful',
  safety: 'spe-safety-faithful',
  helpfulness: 'spe-helpfulness-faithful',
  variant: 'faithful',
} as const;

const RUN_NAMES = [
  'reward',
  'cost',
  'dpo-safety',
  'dpo-helpfulness',
  'dpo-both',
  'sequential',
  'modpo',
  'spe-safety',
  'spe-helpfulness',
  'spe-safety-faithful',
  'spe-helpfulness-faithful',
  'dual',
  'dual-faithful',
  'layers',
  'layers-faithful',
  'logits',
] as const;
export type RunName = (typeof RUN_NAMES)[number];

/** The folders of the runs. They distinguish a folder of our runs from any other folder. */
export const METHOD_RUNS = { [RUN_NAMES.join('|')]: [ANY_RUN, DUAL_PAIRS] };

const RUNS: Record<RunName, Run> = {
  reward: score('reward'),
  cost: score('cost'),
  'dpo-safety': expert({ role: 'safety' }),
  'dpo-helpfulness': expert({ role: 'helpfulness' }),
  'dpo-both': both,
  sequential: expert({ role: 'safety', from: 'dpo-helpfulness' }),
  modpo: expert({ role: 'helpfulness', margin: 'modpo' }),
  'spe-safety': expert({ role: 'safety', margin: 'spe' }),
  'spe-helpfulness': expert({ role: 'helpfulness', margin: 'spe' }),
  'spe-safety-faithful': expert({ role: 'safety', margin: 'spe', variant: 'faithful' }),
  'spe-helpfulness-faithful': expert({ role: 'helpfulness', margin: 'spe', variant: 'faithful' }),
  dual: dual('corrected'),
  'dual-faithful': dual('agreed'),
  layers: router({ kind: 'layers', lambda: ROUTER_LAMBDA.layers, ...corrected }),
  'layers-faithful': router({ kind: 'layers', lambda: ROUTER_LAMBDA['layers-faithful'], ...faithful }),
  logits: router({ kind: 'logits', lambda: ROUTER_LAMBDA.logits, ...corrected }),
};

/**
 * Trains the runs that are not finished, each after the runs it needs. To see that a run is
 * finished we must read its data. So we skip the runs in `finished`, and add the newly finished
 * runs to it.
 */
export async function trainRuns(names: readonly RunName[], context: RunContext, finished = new Set<string>()) {
  for (const name of withAllNeeds(names)) {
    const dir = dirOf(name, context);
    if (finished.has(dir)) continue;
    await RUNS[name].train(context, dir);
    finished.add(dir);
  }
}

/** The runs and everything they need, each once, in the order of training. */
export function withAllNeeds(names: readonly RunName[]): RunName[] {
  const all = names.flatMap((name) => [...withAllNeeds(RUNS[name].needs), name]);
  return [...new Set(all)];
}
