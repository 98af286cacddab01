/**
 * The step `probes`: the second look of the finished bundle (lab/probes). A probe reads the safety
 * expert's row, which depends on the base and on that expert alone. So it is trained before the
 * export, on the row that the bundle will serve, and goes into the bundle with everything else.
 */
import { NO_ADAPTER } from '#gpu-backend/model/adapter.ts';
import { PROBE_FILES } from '#gpu-backend/model/bundle-files.ts';
import { openBundle } from '#gpu-backend/model/load-bundle.ts';
import { type Probe, probeVersion, readProbe } from '#gpu-backend/model/probe.ts';
import { hashToUnit } from '#training/data/random.ts';
import { readExpert } from '#training/stages/export.ts';
import { contrastPrompts } from '../classifier/contrast-prompts.ts';
import { loadContrastCheck } from '../classifier/own-files.ts';
import { ownPrompts } from '../classifier/own-prompts.ts';
import { FILES, readPublic } from '../classifier/read-public.ts';
import { worldPrompts } from '../classifier/world-prompts.ts';
import { type ProbeRow, probeRows } from '../probes/probe-rows.ts';
import { trainOnRows } from '../probes/train-probes.ts';
import { inside, MODEL_ID, type RecipeContext } from './context.ts';
import { runDigest, runFolder } from './learn-steps.ts';
import { digestOfFiles, digestOfJson } from './step-records.ts';

/** Everything that `train probes` writes, states included. */
export const PROBES_FOLDER = 'probes';
export const PROBES_FIGURES = `${PROBES_FOLDER}/metrics.json`;
const PROBES_OUTPUT = [...Object.values(PROBE_FILES).map((name) => `${PROBES_FOLDER}/${name}`), PROBES_FIGURES];

/** What the step's record says where the recipe has no probe. */
const NO_PROBE = 'none';

export async function probesInputs({ data, settings, baseDigest }: RecipeContext): Promise<Record<string, unknown>> {
  const { probe } = settings;
  if (probe.share === 0) return { probe: NO_PROBE };
  return {
    base: baseDigest,
    ...probe,
    files: await digestOfFiles(
      data,
      FILES.map(({ file }) => file),
    ),
    own: digestOfJson([ownPrompts(probe), contrastPrompts(), worldPrompts(probe), loadContrastCheck()]),
  };
}

export async function probesStep(context: RecipeContext): Promise<void> {
  const { base, baseDigest, model, settings, threads } = context;
  if (settings.probe.share === 0) return;
  const opened = await openBundle(base);
  const safety = await readExpert(inside(context, runFolder('safety')), model);
  const served = {
    ...opened,
    id: MODEL_ID,
    // The other expert has a row of its own, which no look reads.
    experts: [safety, { name: 'helpfulness', role: 'helpfulness' as const, ...NO_ADAPTER }],
    // Of all that the states depend on. States that are on disk already must have the same one.
    digest: digestOfJson([baseDigest, await runDigest(context, 'safety')]),
  };
  await trainOnRows(served, await recipeProbeRows(context), {
    out: inside(context, PROBES_FOLDER),
    row: 'safety',
    layers: null,
    threads,
    recipe: settings.probe,
  });
}

export function probesDigest({ out, settings }: Pick<RecipeContext, 'out' | 'settings'>): Promise<string> | string {
  return settings.probe.share === 0 ? NO_PROBE : digestOfFiles(out, PROBES_OUTPUT);
}

/** A hash picks the share of the prompts. */
export async function recipeProbeRows({
  data,
  settings: { probe },
}: Pick<RecipeContext, 'data' | 'settings'>): Promise<ProbeRow[]> {
  const rows = probeRows(await readPublic(data), probe);
  return rows.filter(({ example }) => hashToUnit(`recipe/${example.text}`) < probe.share);
}

/** The probe that the step has trained, or null if the recipe has none. */
export async function trainedProbe(context: RecipeContext): Promise<Probe | null> {
  if (context.settings.probe.share === 0) return null;
  const dir = inside(context, PROBES_FOLDER);
  return await readProbe(dir, { probes: { second_look: { version: await probeVersion(dir) } } }, context.model.config);
}
