/** The step `export`: the base with its experts, its routers and its probe as one bundle. */
import { BUNDLE_FILES, bundleDigest, readJson } from '#gpu-backend/model/bundle-files.ts';
import { ExpertRole, Manifest } from '#gpu-backend/model/manifest.ts';
import type { RouterKind } from '#training/graphs/router-graph.ts';
import { exportStage } from '#training/stages/export.ts';
import { inside, MODEL_ID, type RecipeContext } from './context.ts';
import { dualOutput } from './dual-step.ts';
import { runFolder } from './learn-steps.ts';
import { pairsOutput, SIDES } from './pairs-step.ts';
import { trainedProbe } from './probes-step.ts';
import { readPairRows, sourcesOf } from './recipe-rows.ts';
import { commandOf } from './settings.ts';
import { describeSource } from './sources.ts';

export const BUNDLE_OUTPUT = 'bundle';
/** Half the size of f32, and what is measured is what ships. The base stays as it is. */
export const ADAPTER_DTYPE = 'f16';

export async function exportStep(context: RecipeContext): Promise<void> {
  const { provenance } = await readJson(context.base, BUNDLE_FILES.manifest, Manifest);
  const probe = await trainedProbe(context);
  const runs = (kinds: readonly (ExpertRole | RouterKind)[]) => kinds.map((kind) => inside(context, runFolder(kind)));
  await exportStage({
    out: inside(context, BUNDLE_OUTPUT),
    base: context.base,
    experts: runs(ExpertRole.options),
    routers: runs(context.settings.ships),
    ...(probe && { probe }),
    manifest: {
      id: MODEL_ID,
      licence: 'Apache-2.0',
      default_weight: context.settings.defaultWeight,
      sampling: context.settings.sampling,
      provenance: {
        description: `${commandOf(context.settings)}, on the base ${context.baseDigest} (${provenance.description})`,
        data: await usedData(context),
      },
    },
    dtype: ADAPTER_DTYPE,
  });
}

export async function exportDigest(context: Pick<RecipeContext, 'out'>): Promise<string> {
  const dir = inside(context, BUNDLE_OUTPUT);
  return bundleDigest(dir, await readJson(dir, BUNDLE_FILES.manifest, Manifest));
}

/** The sources of everything that experts, heads and routers were trained on. */
async function usedData(context: RecipeContext): Promise<Manifest['provenance']['data']> {
  const files = SIDES.flatMap((side) => [pairsOutput('safer', side), pairsOutput('better', side), dualOutput(side)]);
  const rows = await Promise.all(files.map((file) => readPairRows(inside(context, file))));
  const names = new Set(rows.flat().flatMap(sourcesOf));
  return [...names].sort().map((name) => {
    const { licence, from } = describeSource(name);
    return { name, licence, source: from };
  });
}
