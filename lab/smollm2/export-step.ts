/** The step `export`: the base with its experts and routers as one bundle. */
import { BUNDLE_FILES, bundleDigest, readJson } from '#gpu-backend/model/bundle-files.ts';
import { loadBundle } from '#gpu-backend/model/load-bundle.ts';
import { ExpertRole, Manifest } from '#gpu-backend/model/manifest.ts';
import { writeBundle } from '#gpu-backend/model/write-bundle.ts';
import { MODES } from '#shared/line/line.ts';
import { WriteError } from '#training/run/write-error.ts';
import { readExpert } from '#training/stages/export.ts';
import { loadRouters } from '#training/stages/router-weights.ts';
import { readChatFiles } from '#training/tokenizer/chat-files.ts';
import { inside, loadBase, type RecipeContext } from './context.ts';
import { dualOutput } from './dual-step.ts';
import { runFolder } from './learn-steps.ts';
import { pairsOutput, SIDES } from './pairs-step.ts';
import { readPairRows } from './recipe-rows.ts';
import { SOURCES } from './sources.ts';

export const BUNDLE_OUTPUT = 'bundle';
export const MODEL_ID = 'smollm2-135m-instruct';

export async function exportStep(context: RecipeContext): Promise<void> {
  const out = inside(context, BUNDLE_OUTPUT);
  const { base } = await loadBase(context);
  const { config, weights, manifest } = await loadBundle(context.base);
  const experts = await Promise.all(
    ExpertRole.options.map((role) => readExpert(inside(context, runFolder(role)), base)),
  );
  const routers = await loadRouters(
    MODES.map((kind) => inside(context, runFolder(kind))),
    base,
  );
  const parts = {
    config,
    ...(await readChatFiles(context.base)),
    weights,
    experts,
    routers,
    manifest: {
      id: MODEL_ID,
      licence: 'Apache-2.0',
      default_weight: context.settings.defaultWeight,
      provenance: {
        description: `npx plimsoll train smollm2, seed ${context.settings.seed}, on the base ${context.baseDigest} (${manifest.provenance.description})`,
        data: await usedData(context),
      },
    },
  };
  // In f32 the base's weights stay what they are.
  await writeBundle(out, parts, { dtype: 'f32' }).catch((cause: unknown) => {
    throw (cause as NodeJS.ErrnoException).syscall === undefined ? cause : new WriteError(out, cause);
  });
}

export async function exportDigest(context: RecipeContext): Promise<string> {
  const dir = inside(context, BUNDLE_OUTPUT);
  return bundleDigest(dir, await readJson(dir, BUNDLE_FILES.manifest, Manifest));
}

/** The sources of everything that experts, heads and routers were trained on. */
async function usedData(context: RecipeContext): Promise<Manifest['provenance']['data']> {
  const files = SIDES.flatMap((side) => [pairsOutput('safer', side), pairsOutput('better', side), dualOutput(side)]);
  const rows = await Promise.all(files.map((file) => readPairRows(inside(context, file))));
  const names = new Set(rows.flat().map(({ source }) => source));
  return [...names].sort().map((name) => ({ name, licence: SOURCES[name]!.licence, source: SOURCES[name]!.from }));
}
