/**
 * Every training run that the demo bundle and the study are made of, by name: MidPO's stages, as
 * published and as corrected, and the methods it is compared with. Each starts from the same base
 * and learns from the same source (run-source.ts). If a run needs another one, that one is trained
 * first. A finished run is not trained again.
 */
import path from 'node:path';
import type { ExpertRole } from '#gpu-backend/model/manifest.ts';
import type { Preference } from '#training/data/rows.ts';
import type { RouterKind, Variant } from '#training/graphs/router-graph.ts';
import type { ScoreKind } from '#training/graphs/score-graph.ts';
import type { BaseModel } from '#training/stages/base-model.ts';
import type { DualDefinition } from '#training/stages/dual-pairs.ts';
import { expertStage } from '#training/stages/expert.ts';
import { loadExpertWeights } from '#training/stages/expert-weights.ts';
import { ANY_RUN, DUAL_PAIRS } from '#training/stages/folder-kinds.ts';
import { type MarginRule, marginKind, marginModel } from '#training/stages/margin-model.ts';
import { holdsDualPairs, rankStage, readDualPairs, writeDualPairs } from '#training/stages/rank.ts';
import { routerStage } from '#training/stages/router.ts';
import { SCORE_DIMENSION, scoreStage } from '#training/stages/score.ts';
import { loadScorer } from '#training/stages/scorer.ts';
import type { TrainingTokenizer } from '#training/tokenizer/chat-files.ts';
import { halfByEachLabel } from './both-labels.ts';
import { oneSafeOneUnsafe } from './published-pairs.ts';
import { RUN_NAMES, type RunName } from './run-names.ts';
import type { RunSource } from './run-source.ts';

export type RunContext = {
  /** Holds one folder for each run that is trained. */
  dir: string;
  seed: number;
  source: RunSource;
  base: BaseModel;
  tokenizer: TrainingTokenizer;
  threads: number;
};

type Run = {
  /** The runs whose folders this one reads. */
  needs: readonly RunName[];
  train: (context: RunContext, out: string) => Promise<void>;
};

/** The folder of a run: one that the source has finished, or one of our own. */
export function folderOfRun(name: RunName, { dir, source }: Pick<RunContext, 'dir' | 'source'>): string {
  return source.finished(name) ?? path.join(dir, name);
}

const common = ({ seed, base, tokenizer, threads }: RunContext) => ({ resume: true, seed, base, tokenizer, threads });

const modelOf = ({ base, tokenizer, threads }: RunContext) => ({ base, padId: tokenizer.padId, threads });

function score(kind: ScoreKind): Run {
  return {
    needs: [],
    train: async (context, out) => {
      const { source } = context;
      const { train, heldOut } = await source.pairs(SCORE_DIMENSION[kind]);
      const { dataSettings } = source;
      await scoreStage({ ...common(context), ...source.score, dataSettings, train, heldOut, kind, out });
    },
  };
}

/** The settings of the published experts: beta, no NLL term, three epochs at a small rate. */
const PUBLISHED_EXPERT = { beta: 0.1, nllWeight: 0, learningRate: 1e-5, epochs: 3, marginScale: 1 } as const;
const PUBLISHED_LAMBDA = 1;

type ExpertRun = {
  role: ExpertRole;
  /** If left out, the run is plain DPO. */
  margin?: MarginRule;
  variant?: Variant;
  /** The run whose expert this one starts from and is measured against. The default is the base. */
  from?: RunName;
};

function expert({ role, margin, variant = 'corrected', from }: ExpertRun): Run {
  const judge = margin && marginKind(role, margin);
  const published = variant === 'faithful';
  const publishedPairs = published && role === 'safety';
  return {
    needs: [...(judge ? [judge] : []), ...(from ? [from] : [])],
    train: async (context, out) => {
      const { source } = context;
      const { marginScale, ...settings } = { ...source.expert, ...(published && PUBLISHED_EXPERT) };
      const loadMargin = async (wanted: ScoreKind, rule: MarginRule) => {
        const scorer = await loadScorer(folderOfRun(wanted, context), { ...modelOf(context), wanted });
        return marginModel(scorer, { name: wanted, rule, scale: rule === 'spe' ? marginScale : 1 });
      };
      const start = from && (await loadExpertWeights(folderOfRun(from, context), context.base));
      const pairs = await source.compared(role);
      const { train, heldOut } = publishedPairs ? oneSafeOneUnsafe(pairs) : pairs;
      await expertStage({
        ...common(context),
        ...settings,
        train,
        heldOut,
        // Both of MODPO's weights are a half, so its eq. 9 is DPO at twice the beta, minus the
        // other model's whole margin.
        ...(margin === 'modpo' && { beta: 2 * settings.beta }),
        variant,
        role,
        from: from && start ? { ...start, name: from } : null,
        margin: margin && judge ? await loadMargin(judge, margin) : null,
        out,
        dataSettings: {
          ...source.dataSettings,
          ...(publishedPairs && { only: 'pairs of one safe and one unsafe answer' }),
        },
      });
    },
  };
}

/** One policy on both labels. */
const both: Run = {
  needs: [],
  train: async (context, out) => {
    const { source } = context;
    const { marginScale: _, ...settings } = source.expert;
    const [safer, better] = [await source.compared('safety'), await source.compared('helpfulness')];
    await expertStage({
      ...common(context),
      ...settings,
      variant: 'corrected',
      train: halfByEachLabel({ safer: safer.train, better: better.train }),
      heldOut: halfByEachLabel({ safer: safer.heldOut, better: better.heldOut }),
      role: 'helpfulness',
      from: null,
      margin: null,
      out,
      dataSettings: { ...source.dataSettings, labels: 'both, half and half' },
    });
  },
};

function dual(definition: DualDefinition): Run {
  return {
    needs: ['reward', 'cost'],
    train: async (context, out) => {
      const models = modelOf(context);
      const reward = await loadScorer(folderOfRun('reward', context), { ...models, wanted: 'reward' });
      const cost = await loadScorer(folderOfRun('cost', context), { ...models, wanted: 'cost' });
      if (await holdsDualPairs(out, { reward, cost })) return;
      const { source, base, tokenizer } = context;
      if (source.dual) {
        const own = await source.dual({ definition, reward, cost, tokenizer });
        await writeDualPairs(out, { ...own, definition, reward, cost, base });
        return;
      }
      const [safer, better] = [await source.pairs('safer'), await source.pairs('better')];
      const train = eitherOf(safer.train, better.train);
      const heldOut = eitherOf(safer.heldOut, better.heldOut);
      const summaries = await rankStage({ train, heldOut, definition, reward, cost, base, tokenizer, out });
      for (const [side, { kept, read }] of Object.entries(summaries)) {
        process.stderr.write(`${out}: ${side}: ${kept} of ${read} pairs\n`);
      }
    },
  };
}

/** All of the first, and those of the second that the first lacks: a pair may be in both. */
function eitherOf(first: readonly Preference[], second: readonly Preference[]): Preference[] {
  const key = ({ prompt, responses }: Preference) => JSON.stringify([prompt, responses]);
  const known = new Set(first.map(key));
  return [...first, ...second.filter((pair) => !known.has(key(pair)))];
}

type RouterRun = {
  kind: RouterKind;
  variant: Variant;
  dual: RunName;
  safety: RunName;
  helpfulness: RunName;
};

function router({ kind, variant, dual, safety, helpfulness }: RouterRun): Run {
  return {
    needs: [dual, safety, helpfulness],
    train: async (context, out) => {
      const { lambda, ...settings } = context.source.router;
      const expertOf = (name: RunName, wanted: ExpertRole) =>
        loadExpertWeights(folderOfRun(name, context), context.base, { wanted });
      await routerStage({
        ...common(context),
        ...settings,
        kind,
        variant,
        lambda: variant === 'faithful' ? PUBLISHED_LAMBDA : lambda[kind],
        safety: await expertOf(safety, 'safety'),
        helpfulness: await expertOf(helpfulness, 'helpfulness'),
        ...(await readDualPairs(folderOfRun(dual, context), context.base)),
        out,
        dataSettings: { dual, safety, helpfulness },
      });
    },
  };
}

const corrected = { dual: 'dual', safety: 'spe-safety', helpfulness: 'spe-helpfulness', variant: 'corrected' } as const;

/**
 * `dual-faithful` keeps the pairs that the published trainer reads (stages/dual-pairs.ts). A
 * recipe ranks the answers of `dual` for it.
 */
const faithful = {
  dual: 'dual-faithful',
  safety: 'spe-safety-faithful',
  helpfulness: 'spe-helpfulness-faithful',
  variant: 'faithful',
} as const;

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
  layers: router({ kind: 'layers', ...corrected }),
  'layers-faithful': router({ kind: 'layers', ...faithful }),
  logits: router({ kind: 'logits', ...corrected }),
};

/**
 * Trains the runs that are not finished, each after the runs it needs. What the source has finished
 * is only read. To see that a run of our own is finished we must read its data. So we skip the runs
 * in `finished`, and add the newly finished runs to it.
 */
export async function trainRuns(names: readonly RunName[], context: RunContext, finished = new Set<string>()) {
  for (const name of withAllNeeds(names)) {
    const dir = folderOfRun(name, context);
    if (finished.has(dir) || context.source.finished(name) !== null) continue;
    await RUNS[name].train(context, dir);
    finished.add(dir);
  }
}

/** The runs and everything they need, each once, in the order of training. */
export function withAllNeeds(names: readonly RunName[]): RunName[] {
  const all = names.flatMap((name) => [...withAllNeeds(RUNS[name].needs), name]);
  return [...new Set(all)];
}
