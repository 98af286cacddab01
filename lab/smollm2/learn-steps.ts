/** The steps that train: two heads, two experts, two routers, each a stage with its checkpoints. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import type { ExpertRole } from '#gpu-backend/model/manifest.ts';
import type { Dimension } from '#training/data/preferences.ts';
import type { Preference } from '#training/data/rows.ts';
import type { RouterKind } from '#training/graphs/router-graph.ts';
import type { ScoreKind } from '#training/graphs/score-graph.ts';
import { checkpoints } from '#training/run/checkpoint.ts';
import { expertStage, ROLE_DIMENSION } from '#training/stages/expert.ts';
import { loadExpertWeights } from '#training/stages/expert-weights.ts';
import { marginKind, marginModel } from '#training/stages/margin-model.ts';
import { routerStage } from '#training/stages/router.ts';
import { SCORE_DIMENSION, scoreStage } from '#training/stages/score.ts';
import { loadScorer } from '#training/stages/scorer.ts';
import { inside, type RecipeContext } from './context.ts';
import { dualOutput } from './dual-step.ts';
import { pairsOutput, type Side } from './pairs-step.ts';
import { readPreferences } from './recipe-rows.ts';
import { OVER_REFUSAL } from './sources.ts';
import { digestOfFiles } from './step-records.ts';

export function runFolder(name: ScoreKind | ExpertRole | RouterKind): string {
  return `runs/${name}`;
}

export async function learnScore(context: RecipeContext, kind: ScoreKind): Promise<void> {
  await scoreStage({
    ...commonOf(context),
    ...context.settings.score,
    ...(await comparedOn(context, SCORE_DIMENSION[kind])),
    kind,
    out: inside(context, runFolder(kind)),
  });
}

export async function learnExpert(context: RecipeContext, role: ExpertRole): Promise<void> {
  const { marginScale, ...expert } = context.settings.expert;
  const common = commonOf(context);
  const wanted = marginKind(role, 'spe');
  const { base, tokenizer, threads } = common;
  const scorer = await loadScorer(inside(context, runFolder(wanted)), {
    base,
    padId: tokenizer.padId,
    threads,
    wanted,
  });
  await expertStage({
    ...common,
    ...expert,
    ...(await comparedOn(context, ROLE_DIMENSION[role], role === 'safety' ? await overRefusal(context) : undefined)),
    variant: 'corrected',
    role,
    margin: marginModel(scorer, { name: wanted, rule: 'spe', scale: marginScale }),
    from: null,
    out: inside(context, runFolder(role)),
  });
}

export async function learnRouter(context: RecipeContext, kind: RouterKind): Promise<void> {
  const { lambda, ...router } = context.settings.router;
  const common = commonOf(context);
  const expertOf = (role: ExpertRole) =>
    loadExpertWeights(inside(context, runFolder(role)), common.base, { wanted: role });
  await routerStage({
    ...common,
    ...router,
    kind,
    variant: 'corrected',
    lambda: lambda[kind],
    safety: await expertOf('safety'),
    helpfulness: await expertOf('helpfulness'),
    ...(await filesOf(context, dualOutput('train'), dualOutput('dev'))),
    out: inside(context, runFolder(kind)),
  });
}

function commonOf(context: RecipeContext) {
  const { threads, settings, tokenizer, model: base } = context;
  return { base, tokenizer, resume: true, seed: settings.seed, threads };
}

async function comparedOn(context: RecipeContext, dimension: Dimension, more?: Record<Side, Preference[]>) {
  const files = await filesOf(context, pairsOutput(dimension, 'train'), pairsOutput(dimension, 'dev'));
  if (more === undefined) return files;
  return { ...files, train: [...files.train, ...more.train], heldOut: [...files.heldOut, ...more.dev] };
}

/**
 * What the safety expert compares besides: to a harmless prompt, an answer is chosen over a
 * refusal. Without such pairs it learns that refusing is always safer. The cost model does not see
 * them, because both answers are safe.
 */
export async function overRefusal(context: Pick<RecipeContext, 'out'>): Promise<Record<Side, Preference[]>> {
  const of = async (side: Side) => {
    const rows = await readPreferences(inside(context, pairsOutput('better', side)), OVER_REFUSAL);
    return rows.map((row) => ({ ...row, safer: row.better }));
  };
  return { train: await of('train'), dev: await of('dev') };
}

/** The stages call `heldOut` what they measure on while they learn: the part dev. */
async function filesOf(context: RecipeContext, train: string, dev: string) {
  return {
    train: await readPreferences(inside(context, train)),
    heldOut: await readPreferences(inside(context, dev)),
    dataSettings: { pairs: await digestOfFiles(context.out, [train, dev]) },
  };
}

const State = z.object({ sha256: z.string() });

/** The digest of a run's newest checkpoint, as the checkpoint itself says it. */
export async function runDigest(
  context: Pick<RecipeContext, 'out'>,
  name: ScoreKind | ExpertRole | RouterKind,
): Promise<string> {
  const dir = inside(context, runFolder(name));
  const newest = (await checkpoints(dir)).at(-1);
  if (newest === undefined) throw new Error(`${dir}: holds no checkpoint`);
  const file = path.join(dir, newest, 'state.json');
  const parsed = State.safeParse(JSON.parse(readFileSync(file, 'utf8')));
  if (!parsed.success) throw new Error(`${file}: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`);
  return parsed.data.sha256;
}
