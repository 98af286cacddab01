/** Collects the study's results from what the grid left on disk. */
import { hasFigures, lastFigures } from '#training/run/last-figures.ts';
import { weightCount } from '#training/stages/base-model.ts';
import type { RunName } from '../../methods/run-names.ts';
import { folderOfRun, type RunContext, withAllNeeds } from '../../methods/runs.ts';
import { attackSet } from '../questions/questions.ts';
import type { MethodInfo, StudyResults, TrainedRun } from '../results/results.ts';
import type { Grid, GridOptions } from './grid.ts';
import { type Judge, judgeCells } from './judge-cells.ts';
import { methodsOf, runsOf } from './methods.ts';

export async function collectResults(
  { contexts, world, real, methods, study, served, matchedWeight, shipped }: GridOptions,
  grid: Grid,
  {
    judge,
    judges,
    missing,
    learnedFrom,
  }: Pick<StudyResults, 'judges' | 'learnedFrom'> & { judge: Judge | null; missing: readonly string[] },
): Promise<StudyResults> {
  const { base } = contexts[0]!;
  const all = methodsOf({ ...served, study, matchedWeight, shipped });
  const runs: TrainedRun[] = [];
  for (const { source, ...context } of contexts) {
    for (const name of source ? withAllNeeds(all.flatMap(runsOf)) : []) {
      const run = source && (await trainedRun(name, { ...context, source }));
      if (run) runs.push(run);
    }
  }
  const tokensOf = (names: readonly RunName[]) => {
    const seen = runs.filter(({ name }) => (names as readonly string[]).includes(name));
    return seen.reduce((sum, { tokens }) => sum + tokens, 0) / Math.max(1, new Set(seen.map(({ seed }) => seed)).size);
  };
  const infos = all.map((method): MethodInfo => {
    const { id, label, family, what, line, frontier } = method;
    return {
      id,
      label,
      family,
      what,
      trainedTokens: tokensOf(withAllNeeds(runsOf(method))),
      ...(family === 'logits-router' && 'floor' in line && { line: { floor: line.floor, budget: line.budget } }),
      ...(frontier && { frontier }),
    };
  });
  const left = all.filter(({ id }) => methods !== undefined && !methods.includes(id)).map(({ label }) => label);
  return {
    study,
    shipped: shipped?.digest ?? null,
    ...(shipped?.madeBy && { shippedFrom: shipped.madeBy }),
    methods: infos,
    sets: [world, attackSet(world), ...real].map(({ questions, depths: _, ...set }) => ({
      ...set,
      questions: questions.length,
    })),
    seeds: contexts.map(({ seed }) => seed),
    learnedFrom,
    cells: await judgeCells(grid.cells, judge),
    runs,
    judges,
    seconds: { training: runs.reduce((sum, { seconds }) => sum + seconds, 0), generating: grid.seconds },
    missing: [...missing, ...grid.missing, ...(left.length > 0 ? [`methods: ${left.join(', ')}`] : [])],
    base: {
      parameters: weightCount(base.config),
      steps: base.steps,
    },
  };
}

async function trainedRun(name: RunName, context: RunContext): Promise<TrainedRun | null> {
  const { seed } = context;
  const dir = folderOfRun(name, context);
  // D_dual is made, not trained, so it has no metrics.
  if (!hasFigures(dir)) return null;
  const last = await lastFigures(dir);
  const heldOut: TrainedRun['heldOut'] = {};
  for (const [figure, value] of Object.entries(last)) {
    if (figure.startsWith('heldOut') && value !== undefined) heldOut[figure] = value;
  }
  return { name, seed, steps: last.step ?? 0, tokens: last.tokens ?? 0, seconds: last.seconds ?? 0, heldOut };
}
