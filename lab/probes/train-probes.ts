/**
 * `plimsoll train probes`: the second look of a bundle, from its own hidden states. It reads the
 * states of all prompts (which takes longest, and goes on where it stopped), chooses what to read
 * on dev, fits, calibrates, writes the probe, reads it back, and measures it on test.
 */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { ServableBundle } from '#gpu-backend/engine/serving-weights.ts';
import { NO_ADAPTER } from '#gpu-backend/model/adapter.ts';
import { openBundle, type ServedBundle } from '#gpu-backend/model/load-bundle.ts';
import { ProbeHead, readProbe } from '#gpu-backend/model/probe.ts';
import { NO_ROUTERS } from '#gpu-backend/model/router.ts';
import { writeProbe } from '#gpu-backend/model/write-bundle.ts';
import { createClassifier } from '#shared/classify/classify.ts';
import { ANY_HARM } from '#shared/classify/combine-scores.ts';
import { JUDGEMENTS } from '#shared/line/categories.ts';
import { LICENCES } from '../classifier/licences.ts';
import { rocAuc, type Scored } from '../classifier/metrics.ts';
import { readPublic } from '../classifier/read-public.ts';
import { targetOf } from '../classifier/targets.ts';
import { atMost } from './at-most.ts';
import { calibrateProbe } from './calibrate-probe.ts';
import { card } from './card.ts';
import { chooseReading, chooseStrengths } from './choose-reading.ts';
import { type Corpus, corpusOf, type Reading, rowsOfPart, scoresOf } from './corpus.ts';
import { compareScores, type Figures, probeFigures } from './figures.ts';
import type { FitOptions, Fitted } from './fit-logistic.ts';
import { fitProbe } from './fit-probe.ts';
import { leaveOut } from './leave-out.ts';
import type { Score } from './measured-sets.ts';
import { type PlannedPrompt, planPrompt, sharedTokens } from './plan-prompts.ts';
import { CHECK_SOURCE, type ProbeRow, probeRows } from './probe-rows.ts';
import { fitsBar, promptsBar } from './progress.ts';
import { blockNames, StateReader } from './read-states.ts';
import { candidateLayers, type ProbeRecipe } from './recipe.ts';
import { stackScores } from './stack-scores.ts';
import { promptsDigest, statesOf } from './state-files.ts';

const CLASSIFIER = path.join(import.meta.dirname, '../../models/classifier/classifier.bin');
const LICENCE = 'Apache-2.0';
export const STATES = 'states';

export type TrainProbesOptions = {
  /** The folder of a bundle. */
  base: string;
  data: string;
  out: string;
  /** The safety expert's row is what a look reads; `base` leaves all experts out. */
  row: 'safety' | 'base';
  /** Candidates, counted from 0. null for those of the recipe. */
  layers: readonly number[] | null;
  /** The most prompts of each side of a source, in each part. null for all. */
  mostEach: number | null;
  threads: number;
  recipe: ProbeRecipe;
};

export async function trainProbes({ base, data, mostEach, ...options }: TrainProbesOptions): Promise<void> {
  const opened = await openBundle(base);
  console.error(`reading prompts from ${data}`);
  const rows = atMost(probeRows(await readPublic(data), options.recipe), mostEach);
  const figures = await trainOnRows(opened, rows, options);
  const { layers, poolings, window } = figures.chosen;
  const named = JSON.stringify({ second_look: { version: figures.version } });
  console.log(
    `probe ${figures.version}: layers ${layers.join(', ')}, ${poolings.join(' and ')}, windows of ${window} tokens; ` +
      `figures in ${path.join(options.out, 'CARD.md')}\n` +
      `To use it, copy ${path.join(options.out, 'probes')} into the bundle and add "probes": ${named} to its plimsoll.json.`,
  );
}

/** The rest of it, on rows that are given. */
export async function trainOnRows(
  opened: ServedBundle,
  all: readonly ProbeRow[],
  { out, row, layers: asked, threads, recipe }: Omit<TrainProbesOptions, 'base' | 'data' | 'mostEach'>,
): Promise<Figures> {
  const { config, digest } = opened;
  const bundle = row === 'base' ? bare(opened) : opened;
  const layers = checkedLayers(asked ?? candidateLayers(config.num_hidden_layers), config.num_hidden_layers);
  const { windows, mostTokens } = recipe;
  const planned = all.map(({ example }, prompt) => planPrompt(example.text, { prompt, bundle, windows }));
  const most = Math.min(mostTokens, config.max_position_embeddings);
  const fits = planned.filter(({ ids }) => ids.length <= most);
  const rows = fits.map(({ prompt }) => all[prompt]!);
  const plans = fits
    .map((plan, prompt): PlannedPrompt => ({ ...plan, prompt }))
    .sort((a, b) => a.ids.length - b.ids.length || a.prompt - b.prompt);
  const corpus = await readCorpus(bundle, {
    rows,
    plans,
    layers,
    dir: path.join(out, STATES),
    digest,
    row,
    threads,
    recipe,
  });

  const leftOut = all.length - rows.length;
  const bar = fitsBar();
  try {
    const given = { out, row, layers, threads, recipe, leftOut, mostTokens: most, onFit: bar.onFit };
    return await fitAndMeasure(opened, corpus, given);
  } finally {
    bar.stop();
  }
}

async function fitAndMeasure(
  opened: ServedBundle,
  corpus: Corpus,
  given: Pick<TrainProbesOptions, 'out' | 'row' | 'threads' | 'recipe'> & {
    layers: readonly number[];
    leftOut: number;
    mostTokens: number;
    onFit: () => void;
  },
): Promise<Figures> {
  const { out, row, layers, threads, recipe, onFit } = given;
  const fit: FitOptions = { steps: recipe.steps, learningRate: recipe.learningRate, threads };
  const { reading, trials } = await chooseReading(corpus, { layers, recipe, fit, onTrial: onFit });
  const every = { reading, rows: rowsOfPart(corpus, 'train'), judgements: [...JUDGEMENTS.keys()], l2: recipe.l2 };
  const { fitted, gradientNorm } = await fitProbe(corpus, every, fit);
  const { kept, strengths } = chooseStrengths(corpus, { fitted, reading, l2: recipe.l2 });
  const calibration = calibrateProbe(corpus, { kept, reading });
  const sources = dataOf(corpus);
  const version = await save(out, opened, { reading, kept, calibration, sources });

  const edge = await edgeScores(corpus);
  const probe = probeScores(corpus, { kept, reading });
  const both = await stackScores(corpus, [edge.score, probe], fit);
  const leftOut = await leaveOut(corpus, { reading, l2: strengths.any_harm, fit, onFold: onFit });
  const count = (part: ProbeRow['part']) => rowsOfPart(corpus, part).length;
  const figures: Figures = {
    base: { id: opened.id, digest: opened.digest, row },
    version,
    prompts: {
      ...{ train: count('train'), dev: count('dev'), test: count('test') },
      ...{ leftOut: given.leftOut, mostTokens: given.mostTokens },
    },
    chosen: reading,
    ...{ strengths, gradientNorm, trials },
    edge: edge.version,
    data: sources,
    labels: labelFigures(corpus, { kept, reading }),
    dev: compareScores(corpus, 'dev', { edge: edge.score, probe, both }),
    test: compareScores(corpus, 'test', { edge: edge.score, probe, both }),
    probe: probeFigures(corpus, probe),
    leftOut,
  };
  await writeFile(path.join(out, 'metrics.json'), `${JSON.stringify(figures, null, 2)}\n`);
  await writeFile(path.join(out, 'CARD.md'), card(figures));
  return figures;
}

/** The base alone, without any expert's adapter or prompt. */
export function bare(bundle: ServedBundle): ServedBundle {
  const experts = bundle.experts.map(({ name, role }) => ({ name, role, ...NO_ADAPTER }));
  return { ...bundle, experts, routers: NO_ROUTERS, prompts: {} };
}

export function checkedLayers(layers: readonly number[], count: number): readonly number[] {
  const beyond = layers.find((layer) => layer >= count);
  if (beyond !== undefined) throw new Error(`--layers: found ${beyond}, wanted less than the model's ${count} layers`);
  return layers;
}

async function readCorpus(
  bundle: ServableBundle,
  given: {
    rows: readonly ProbeRow[];
    plans: readonly PlannedPrompt[];
    layers: readonly number[];
    dir: string;
    digest: string;
    row: 'safety' | 'base';
    threads: number;
    recipe: ProbeRecipe;
  },
): Promise<Corpus> {
  const { rows, plans, layers, dir, digest, row, threads, recipe } = given;
  const hiddenSize = bundle.config.hidden_size;
  const bar = promptsBar(plans.map(({ ids }) => ids.length));
  try {
    const states = await statesOf(plans, {
      dir,
      hiddenSize,
      settings: { base: digest, row, layers: [...layers], prompts: promptsDigest(plans) },
      openReader: async () => {
        const reader = await StateReader.create(bundle, { layers, threads });
        await reader.share(plans[0]!.ids.slice(0, sharedTokens(plans)));
        return reader;
      },
      onPrompts: bar.onPrompts,
    });
    return corpusOf(rows, { plans, states, hiddenSize, windows: recipe.windows });
  } finally {
    // A bar that is left alone keeps the process alive.
    bar.stop();
  }
}

/** Writes the probe's two files as a bundle has them, and reads them as a backend does. */
async function save(
  out: string,
  { config, manifest, id }: ServedBundle,
  probe: {
    reading: Reading;
    kept: readonly Fitted[];
    calibration: readonly { a: number; b: number }[];
    sources: Figures['data'];
  },
): Promise<string> {
  const { reading, kept, calibration, sources } = probe;
  const head = ProbeHead.parse({
    format: 1,
    layers: reading.layers,
    pooling: reading.poolings,
    judgements: JUDGEMENTS,
    window: reading.window,
    calibration: Object.fromEntries(JUDGEMENTS.map((judgement, k) => [judgement, calibration[k]])),
    licence: LICENCE,
    provenance: {
      description: `Trained by plimsoll train probes on the hidden states of ${id}.`,
      data: sources
        .filter(({ inWeights }) => inWeights)
        .map(({ source, licence }) => ({ name: source, licence, source: 'lab/probes/probe-rows.ts' })),
    },
  });
  const features = blockNames(reading.layers, reading.poolings).length * config.hidden_size;
  const weight = new Float32Array(JUDGEMENTS.length * features);
  for (const [k, { weight: blocks }] of kept.entries()) {
    for (const [i, block] of blocks.entries()) weight.set(block, k * features + i * config.hidden_size);
  }
  const probes = await writeProbe(out, { head, weight, bias: Float32Array.from(kept, ({ bias }) => bias) });
  await readProbe(out, { ...manifest, probes }, config);
  return probes.second_look.version;
}

function probeScores(corpus: Corpus, { kept, reading }: { kept: readonly Fitted[]; reading: Reading }): Score {
  const rows = [...corpus.rows.keys()];
  const of = (judgement: number) => scoresOf(corpus, rows, { fitted: kept[judgement]!, reading });
  const scores = { any_harm: of(ANY_HARM), jailbreak: of(JUDGEMENTS.indexOf('jailbreak')) };
  return (row, by) => scores[by][row]!;
}

/** What the edge's classifier that is in the checkout says. */
async function edgeScores(corpus: Corpus): Promise<{ version: string; score: Score }> {
  const bytes = await readFile(CLASSIFIER);
  const classifier = createClassifier(new Uint8Array(bytes).buffer);
  const known = new Map<number, { any_harm: number; jailbreak: number }>();
  const logOdds = (p: number) => Math.log((p + 1e-9) / (1 - p + 1e-9));
  const score: Score = (row, by) => {
    let found = known.get(row);
    if (found === undefined) {
      const { any_harm, jailbreak } = classifier.classify(corpus.rows[row]!.example.text);
      found = { any_harm: logOdds(any_harm), jailbreak: logOdds(jailbreak) };
      known.set(row, found);
    }
    return found[by];
  };
  return { version: classifier.version, score };
}

function labelFigures(
  corpus: Corpus,
  { kept, reading }: { kept: readonly Fitted[]; reading: Reading },
): Figures['labels'] {
  const rows = rowsOfPart(corpus, 'test');
  return JUDGEMENTS.map((label, k) => {
    const scores = scoresOf(corpus, rows, { fitted: kept[k]!, reading });
    const known = rows.flatMap((row, i): Scored[] => {
      const target = targetOf(corpus.rows[row]!.example, k);
      return target === 0 || target === 1 ? [{ score: scores[i]!, positive: target === 1 }] : [];
    });
    return { label, positives: known.filter(({ positive }) => positive).length, auc: rocAuc(known) ?? null };
  });
}

function dataOf({ rows }: Corpus): Figures['data'] {
  return Object.entries(Object.groupBy(rows, ({ example }) => example.source))
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([source, own = []]) => {
      const count = (part: ProbeRow['part']) => own.filter((row) => row.part === part).length;
      const licence = source === CHECK_SOURCE ? LICENCE : LICENCES[source]!.licence;
      const { inWeights } = own[0]!;
      return { source, licence, train: count('train'), dev: count('dev'), test: count('test'), inWeights };
    });
}
