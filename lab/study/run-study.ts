/**
 * The study, from a trained base to the report. It trains, answers and judges what is not there
 * yet, then writes the report.
 */
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { type BaseModel, isBundle, openBase } from '#training/stages/base-model.ts';
import type { Sampling } from '../evaluate/answer-prompts.ts';
import { DEMO } from '../methods/recipe.ts';
import type { RunSource, Served } from '../methods/run-source.ts';
import { worldSource } from '../methods/world-source.ts';
import { assertOneStudy, type RecipeSource, recipeSource } from '../smollm2/recipe-source.ts';
import { digestOfJson, readRecord } from '../smollm2/step-records.ts';
import { STEP_NAMES } from '../smollm2/steps.ts';
import { splitOf, topicKey } from '../split/split.ts';
import { loadTopics } from '../world/load-topics.ts';
import { HYPOTHESES_FILE, readHypotheses } from './analysis/hypotheses-file.ts';
import { collectResults } from './cells/collect-results.ts';
import { runGrid, type SeedContext } from './cells/grid.ts';
import { openShipped, type Shipped } from './cells/shipped.ts';
import type { TenantLines } from './cells/tenant-lines.ts';
import { withHandLabels } from './hand-labels/agreement.ts';
import { realJudges } from './judges/real-judges.ts';
import type { AskedPart } from './questions/held-out-sets.ts';
import { learnedByEdge } from './questions/learned-by-edge.ts';
import { SET_IDS, studySets } from './questions/sets.ts';
import { writeReport } from './report/write-report.ts';
import { type Earlier, goOn, openEarlier, seedsOfEarlier, withEarlier } from './results/earlier.ts';
import { assertRegistered, readRegistration, register } from './results/registration.ts';
import { RESULTS_FILE, writeResults } from './results/results-file.ts';

/**
 * Real prompts from each source. With the world's questions, the grid takes about five hours on two
 * cores.
 */
const PROMPTS_PER_SOURCE = 32;
/** Longer prompts leave no room for an answer in the demo's context. */
const MAX_PROMPT_TOKENS = 200;

export type StudyOptions = {
  /** The file of hypotheses. The default is the one beside this code. */
  hypotheses?: string;
  /** Runs of `train demo`, or a bundle: where the base comes from. */
  from: string;
  /**
   * Finished folders of `train smollm2` on this base, one for each seed: what they trained is
   * compared, and the other methods learn from their pairs. None: every method is trained on pairs
   * of the small world, for each of `seeds`.
   */
  recipes: readonly string[];
  /**
   * The results of an earlier sitting of this study, whose answers are no longer at hand. What they
   * hold is not asked again. Recipes may be left out: then only what needs no run is asked of them.
   */
  earlier?: string | undefined;
  /**
   * Whether a recipe of an earlier sitting's seed may have been trained again, and come out
   * otherwise. The results then say which answers are its.
   */
  retrained?: boolean | undefined;
  /** The folder for runs and answers. It must exist. */
  out: string;
  /** The folder for the report. It must exist. */
  report: string;
  /** For each a run of every method. Recipes have seeds of their own. */
  seeds: readonly number[];
  /** Only these methods. The default is all. */
  methods?: readonly string[] | undefined;
  /** Sets to ask in addition to the world's, which is always asked. */
  sets: readonly (typeof SET_IDS)[number][];
  /** The folder with the real prompts and pairs. It may be missing. */
  data: string;
  /** `test` is asked once, at the end. Choices are made on `dev`. */
  part: AskedPart;
  /**
   * Whether experts learn from the topics of `train` alone, out of the whole world, and are asked
   * about those of `part`. Otherwise topics are shared, and questions are held out by wording.
   * Recipes always hold out topics.
   */
  heldOutTopics: boolean;
  /** Which share of the topics to ask in all sets but those of `whole`. */
  share: number;
  whole: readonly string[];
  /** How many pairs of the small world every run uses. Recipes have pairs of their own. */
  pairs: number;
  /** The most tokens of an answer. The default is that of the recipes' answers, or the demo's. */
  maxTokens?: number | undefined;
  /**
   * The bundle that ships: the tenants' lines are asked of it, with its probe. Without it, they are
   * asked of what each seed trained, without a second look.
   */
  served?: string | undefined;
  /** The constant weight to compare with the router, chosen on `dev`. */
  matchedWeight?: number | undefined;
  /** What the demo tenants' policies make of a question. */
  tenants: TenantLines;
  threads: number;
  /** Whether to train and answer what is missing, or only to judge what is there. */
  make: boolean;
  /**
   * Whether answers to `test` that were made otherwise, say of another bundle, are made again.
   * Otherwise they are an error.
   */
  answerAgain: boolean;
};

/** Returns the seconds of training steps and of answering behind the report. */
export async function runStudy(options: StudyOptions): Promise<{ training: number; generating: number }> {
  const { from, out, methods, part, threads, tenants, make, hypotheses = HYPOTHESES_FILE } = options;
  const tokenizerDir = isBundle(from) ? from : path.join(from, 'tokenizer');
  const base = isBundle(from) ? await openBase(from) : await openBase(path.join(from, 'sft'), tokenizerDir);
  const { tokenizer } = base;
  const shipped = options.served === undefined ? undefined : await openShipped(options.served);
  const earlier = options.earlier === undefined ? null : openEarlier(options.earlier);
  const { seeds, retrained, served, learnedFrom, heldOutTopics, sampling } = await seedsOf(options, {
    base,
    earlier,
    shipped,
  });
  const contexts = seeds.map(({ seed, source }): SeedContext => {
    return { dir: path.join(out, `seed-${seed}`), seed, source, base, tokenizer, threads };
  });
  const dataDir = existsSync(options.data) ? options.data : null;
  const edge = await learnedByEdge(dataDir);
  const { sets, missing } = await studySets(
    {
      seed: DEMO.evaluation.seed,
      edition: heldOutTopics ? 'whole' : 'first',
      part,
      heldOutTopics,
      share: options.share,
      whole: options.whole,
      dataDir,
      perSource: PROMPTS_PER_SOURCE,
      promptTokens: (messages) => tokenizer.renderChat(messages).length,
      maxPromptTokens: MAX_PROMPT_TOKENS,
      leaveOut: edge.keys,
    },
    SET_IDS.filter((id) => id === 'world' || options.sets.includes(id)),
  );
  const drawn = { ...sampling, ...(options.maxTokens !== undefined && { maxTokens: options.maxTokens }) };
  const registered = {
    file: hypotheses,
    digest: readHypotheses(hypotheses).digest,
    design: {
      part,
      heldOutTopics,
      share: options.share,
      whole: [...options.whole],
      sets: sets.map(({ id }) => id),
      questions: digestOfJson(sets.map(({ id, questions }) => [id, questions.map((question) => question.id)])),
      sampling: {
        temperature: drawn.temperature,
        topP: drawn.topP,
        seed: drawn.seed,
        maxTokens: drawn.maxTokens,
      },
      base: base.digest,
      matchedWeight: options.matchedWeight ?? null,
      shipped: shipped?.digest ?? null,
      seeds: seeds.map(({ seed, from }) => ({ seed, from })),
    },
  };
  // Before anything is answered, or where there are answers already, all of this must stand.
  if (earlier) goOn(out, earlier, registered);
  else if (make && !holdsAnswers(out)) register(out, registered);
  else assertRegistered(readRegistration(out), registered);
  const study = {
    contexts,
    tokenizerDir,
    world: sets.find(({ world }) => world)!,
    real: sets.filter(({ world }) => !world),
    sampling: drawn,
    tenants,
    study: options.recipes.length > 0 || earlier ? ('recipes' as const) : ('world' as const),
    served,
    measured: earlier?.measured,
    matchedWeight: options.matchedWeight,
    shipped,
    methods,
    make,
    keeps: part === 'test' && !options.answerAgain,
  };
  // Before hours of answering: a prompt that is asked and learned from stops the study here.
  const dir = path.join(out, 'judges');
  const judging = await realJudges({ dir, base, tokenizerDir, dataDir, sets: study.real, threads, make });
  const grid = await runGrid(study);
  const judged = await collectResults(study, grid, {
    ...judging,
    learnedFrom,
    missing: [...missing, ...(edge.missing === null ? [] : [edge.missing]), ...judging.missing],
  }).finally(judging.close);
  const results = earlier
    ? withEarlier(judged, earlier, retrained)
    : { ...judged, judges: withHandLabels(judged.judges, { answered: grid.cells, judged: judged.cells }) };
  const file = path.join(options.report, RESULTS_FILE);
  const bytes = writeResults(file, { results, registration: readRegistration(out) });
  process.stderr.write(`study: ${file}: ${(bytes / 1e6).toFixed(1)} MB\n`);
  await writeReport(file, { out: options.report, hypotheses });
  return results.seconds;
}

type Seeds = {
  seeds: {
    seed: number;
    /** null: its recipe is not at hand. */
    source: RunSource | null;
    /** What it learns from, for the registration. */
    from: string;
  }[];
  /** The digests of recipes that are not the registered ones, by seed. */
  retrained: ReadonlyMap<number, string>;
  served: Served;
  learnedFrom: string;
  heldOutTopics: boolean;
  /** As the bundle that ships has it. */
  sampling: Sampling;
};

/** What the methods learn from, for each seed. */
async function seedsOf(
  { recipes, seeds, heldOutTopics, pairs: worldPairs, retrained = false }: StudyOptions,
  { base, earlier, shipped }: { base: BaseModel; earlier: Earlier | null; shipped: Shipped | undefined },
): Promise<Seeds> {
  const sources: RecipeSource[] = [];
  for (const dir of recipes) sources.push(await recipeSource(dir));
  assertOneStudy(sources, base);
  const found = sources.map((source) => ({
    seed: source.seed,
    dir: source.dir,
    source,
    from: recipeDigest(source.dir),
  }));
  if (earlier) {
    const served = sources[0]?.served ?? shipped?.served;
    if (served === undefined) throw new Error('--earlier: wanted --recipes or --served, to know how answers are mixed');
    const known = seedsOfEarlier(earlier, found, { retrained });
    const others = known.flatMap(({ seed, from, recipe }) =>
      recipe === null || recipe.from === from ? [] : [[seed, recipe.from] as const],
    );
    return {
      seeds: known.map(({ recipe, ...seed }) => ({ ...seed, source: recipe?.source ?? null })),
      retrained: new Map(others),
      served,
      learnedFrom: earlier.results.learnedFrom,
      heldOutTopics: true,
      sampling: earlier.registration.design.sampling,
    };
  }
  if (sources.length > 0) {
    const { maxTokens, sampling, served, what } = sources[0]!;
    return {
      seeds: found,
      retrained: new Map(),
      served,
      learnedFrom: what,
      heldOutTopics: true,
      sampling: { ...DEMO.evaluation, ...sampling, maxTokens },
    };
  }
  const edition = heldOutTopics ? 'whole' : 'first';
  const topics = heldOutTopics
    ? loadTopics({ edition }).flatMap(({ id }) => (splitOf(topicKey(id)) === 'train' ? [id] : []))
    : undefined;
  const worlds = seeds.map((seed) => ({
    seed,
    source: worldSource({ seed, edition, worldPairs, topics }),
    from: `${worldPairs} pairs of the small world`,
  }));
  const [first] = worlds;
  return {
    seeds: worlds,
    retrained: new Map(),
    served: first!.source.served,
    learnedFrom: first!.source.what,
    heldOutTopics,
    sampling: DEMO.evaluation,
  };
}

/** Of what every step up to the bundle read and wrote. */
function recipeDigest(dir: string): string {
  const steps = STEP_NAMES.slice(0, STEP_NAMES.indexOf('export') + 1);
  return digestOfJson(
    steps.map((step) => {
      const record = readRecord(dir, step);
      return record && [step, record.inputs, record.needs, record.output];
    }),
  );
}

const holdsAnswers = (out: string): boolean =>
  readdirSync(out).some((name) => name.startsWith('seed-') && existsSync(path.join(out, name, 'answers')));
