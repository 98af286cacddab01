/**
 * Runs of a finished folder of `train smollm2`. Its own runs, what ships, are read and never
 * written or trained again. All others learn from its files of pairs, with the settings that it was
 * made with, as its records say them.
 */
import path from 'node:path';
import * as z from 'zod';
import { BUNDLE_FILES, readJson } from '#gpu-backend/model/bundle-files.ts';
import { Manifest } from '#gpu-backend/model/manifest.ts';
import type { Dimension } from '#training/data/preferences.ts';
import { ROLE_DIMENSION } from '#training/stages/expert.ts';
import type { RunName } from '../methods/run-names.ts';
import type { RunSource } from '../methods/run-source.ts';
import { DATA_OUTPUT } from './data-step.ts';
import { chooseDual, DUAL_OUTPUT } from './dual-step.ts';
import { BUNDLE_OUTPUT, exportDigest } from './export-step.ts';
import { overRefusal, runDigest, runFolder } from './learn-steps.ts';
import { ANSWERS_OUTPUT, PAIRS_OUTPUT, pairsOutput, type Side } from './pairs-step.ts';
import { preferenceOf, readPreferences } from './recipe-rows.ts';
import { FAMILIES, OVER_REFUSAL } from './sources.ts';
import { digestOfFiles, readRecord } from './step-records.ts';
import type { StepName } from './steps.ts';
import { isRecipeFolder } from './train-smollm2.ts';

/** What a study reads of a recipe, in the order in which it is made. */
const STEPS = [
  'data',
  'answers',
  'pairs',
  'reward',
  'cost',
  'dual',
  'safety',
  'helpfulness',
  'layers',
  'logits',
  'probes',
  'export',
] as const satisfies readonly StepName[];
type ReadStep = (typeof STEPS)[number];

/** The recipe's steps by the names that a study has for them. */
const STEP_OF = {
  reward: 'reward',
  cost: 'cost',
  dual: 'dual',
  'spe-safety': 'safety',
  'spe-helpfulness': 'helpfulness',
  layers: 'layers',
  logits: 'logits',
} as const satisfies Partial<Record<RunName, ReadStep>>;
const isFinished = (name: RunName): name is keyof typeof STEP_OF => Object.hasOwn(STEP_OF, name);

const pace = { learningRate: z.number(), pairsPerBatch: z.int(), epochs: z.number() };
const lora = { rank: z.int(), alpha: z.number() };
const budgets = z.partialRecord(z.enum(FAMILIES), z.number());
/** Of each step's inputs, what decides how other runs are trained. */
const Inputs = {
  answers: z.object({ base: z.string(), seed: z.int(), maxTokens: z.int() }),
  reward: z.object({ ...lora, ...pace }),
  safety: z.object({
    ...lora,
    ...pace,
    beta: z.number(),
    nllWeight: z.number(),
    marginScale: z.number(),
    /** The family of pairs that the safety expert compares besides. Older recipes have none. */
    besides: z.literal(OVER_REFUSAL).optional(),
  }),
  dual: z.object({
    seed: z.int(),
    maxRowTokens: z.int(),
    pairsPerBatch: z.int(),
    dual: z.object({ pairsPerPrompt: z.int(), train: budgets, dev: budgets }),
  }),
  layers: z.object({ ...pace, width: z.int(), beta: z.number(), lambda: z.number() }),
  logits: z.object({ lambda: z.number() }),
  export: z.object({ scale: z.number() }),
} as const satisfies Partial<Record<ReadStep, z.ZodType>>;

export type RecipeSource = RunSource & {
  dir: string;
  seed: number;
  /** What all amounts of data were multiplied by. */
  scale: number;
  /** SHA-256 of the base's weights, in hex. */
  base: string;
  /** The most tokens of the base's own answers, which it learned from. */
  maxTokens: number;
  /** How its bundle samples where a client names nothing. What it leaves out is not here. */
  sampling: { temperature?: number; topP?: number };
  /** What decided each step, as its record says it, but for the seed. */
  inputs: Readonly<Record<ReadStep, Readonly<Record<string, unknown>>>>;
};

/**
 * Opens a recipe's folder. Throws, naming the folder and the step, if a step is not done, or if
 * what it wrote is no longer what its record says.
 */
export async function recipeSource(dir: string): Promise<RecipeSource> {
  if (!isRecipeFolder(dir)) throw new Error(`${dir}: found no recipe.json of train smollm2, wanted its --out folder`);
  // The loop fills in every step, or throws.
  const records = {} as Record<ReadStep, NonNullable<ReturnType<typeof readRecord>>>;
  for (const step of STEPS) {
    const record = readRecord(dir, step);
    if (record === null) {
      throw new Error(
        `${dir}: the step ${step} of the recipe is not done, wanted all up to ${STEPS.at(-1)}: the same train smollm2 command goes on`,
      );
    }
    records[step] = record;
    const found = await digestOf(step, dir);
    if (found !== null && found !== record.output) {
      throw new Error(
        `${dir}: found the digest ${found} of what the step ${step} wrote, its record says ${record.output}: train smollm2 --redo ${step} does it again`,
      );
    }
  }
  const inputs = <S extends keyof typeof Inputs>(step: S): z.infer<(typeof Inputs)[S]> => {
    const parsed = Inputs[step].safeParse(records[step].inputs);
    if (!parsed.success) {
      throw new Error(`${dir}/steps/${step}.json: inputs: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`);
    }
    // The schema of this step has checked it; TypeScript does not follow the index.
    return parsed.data as z.infer<(typeof Inputs)[S]>;
  };
  const { seed, base, maxTokens } = inputs('answers');
  const { scale } = inputs('export');
  const { lambda, ...router } = inputs('layers');
  const bundle = path.join(dir, BUNDLE_OUTPUT);
  const { default_weight, router: routers, sampling = {} } = await readJson(bundle, BUNDLE_FILES.manifest, Manifest);
  const { besides, ...expert } = inputs('safety');
  const pairsOf = (dimension: Dimension, side: Side) => readPreferences(path.join(dir, pairsOutput(dimension, side)));
  const pairs = async (dimension: Dimension) => ({
    train: await pairsOf(dimension, 'train'),
    heldOut: await pairsOf(dimension, 'dev'),
  });
  return {
    dir,
    seed,
    scale,
    base,
    maxTokens,
    sampling: {
      ...(sampling.temperature !== undefined && { temperature: sampling.temperature }),
      ...(sampling.top_p !== undefined && { topP: sampling.top_p }),
    },
    inputs: withoutSeeds(records),
    what: `the pairs of the recipe \`train smollm2\`${scale === 1 ? '' : ` at ${scale} of its size`}`,
    score: inputs('reward'),
    expert,
    router: { ...router, lambda: { layers: lambda, logits: inputs('logits').lambda } },
    served: {
      defaultWeight: default_weight,
      routers: (['layers', 'logits'] as const).filter((kind) => routers?.[kind] !== undefined),
    },
    pairs,
    compared: async (role) => {
      const own = await pairs(ROLE_DIMENSION[role]);
      if (role !== 'safety' || besides === undefined) return own;
      const more = await overRefusal({ out: dir });
      return { train: [...own.train, ...more.train], heldOut: [...own.heldOut, ...more.dev] };
    },
    dual: async ({ definition, ...models }) => {
      const { dual, ...recorded } = inputs('dual');
      const { train, dev } = await chooseDual({ out: dir, ...recorded, dual: { ...dual, definition }, ...models });
      return { train: train.pairs.map(preferenceOf), heldOut: dev.pairs.map(preferenceOf) };
    },
    dataSettings: { recipe: { seed, scale, pairs: records.pairs.output } },
    finished: (name) => {
      if (!isFinished(name)) return null;
      const step = STEP_OF[name];
      return path.join(dir, step === 'dual' ? 'dual' : runFolder(step));
    },
  };
}

/** Of what a step wrote; null where only its record counts. */
async function digestOf(step: ReadStep, dir: string): Promise<string | null> {
  switch (step) {
    // No study looks twice.
    case 'probes':
      return null;
    case 'data':
      return digestOfFiles(dir, Object.values(DATA_OUTPUT));
    case 'answers':
      return digestOfFiles(dir, [ANSWERS_OUTPUT]);
    case 'export':
      return exportDigest({ out: dir });
    case 'pairs':
      return digestOfFiles(dir, PAIRS_OUTPUT);
    case 'dual':
      return digestOfFiles(dir, DUAL_OUTPUT);
    default:
      return runDigest({ out: dir }, step);
  }
}

function withoutSeeds(records: Record<ReadStep, { inputs: Record<string, unknown> }>): RecipeSource['inputs'] {
  const entries = STEPS.map((step) => {
    const { seed: _, ...inputs } = records[step].inputs;
    return [step, inputs] as const;
  });
  // STEPS are its very keys; fromEntries widens them to string.
  return Object.fromEntries(entries) as RecipeSource['inputs'];
}

/**
 * Throws unless the recipes can be the seeds of one study: made on this base, each with a seed of
 * its own, and served alike. All that their steps have recorded is the same, but for the seed.
 */
export function assertOneStudy(sources: readonly RecipeSource[], base: { dir: string; digest: string }): void {
  const [first] = sources;
  const seeds = new Map<number, string>();
  for (const source of sources) {
    const { dir, seed } = source;
    if (source.base !== base.digest) {
      throw new Error(
        `${dir}: found a recipe on the base ${source.base}, --from ${base.dir} is ${base.digest}: give the base it was made on`,
      );
    }
    const twin = seeds.get(seed);
    if (twin !== undefined)
      throw new Error(`${dir}: found the seed ${seed}, which ${twin} has too, wanted a seed of its own`);
    seeds.set(seed, dir);
    const [own, wanted] = [sharedOf(source), sharedOf(first!)];
    for (const key of new Set([...wanted.keys(), ...own.keys()])) {
      const [found, other] = [own.get(key), wanted.get(key)];
      if (found === other) continue;
      throw new Error(
        `${dir}: found ${key} = ${found ?? 'unset'}, in ${first!.dir} it is ${other ?? 'unset'}: the folders of a study differ in their seed alone`,
      );
    }
  }
}

/** What the folders of a study share, as JSON, by file and key. */
function sharedOf({ inputs, served }: RecipeSource): Map<string, string> {
  const recorded = STEPS.flatMap((step) =>
    Object.entries(inputs[step]).map(
      ([key, value]) => [`steps/${step}.json: inputs.${key}`, JSON.stringify(value)] as const,
    ),
  );
  return new Map([...recorded, [`${BUNDLE_OUTPUT}/${BUNDLE_FILES.manifest}: router`, JSON.stringify(served.routers)]]);
}
