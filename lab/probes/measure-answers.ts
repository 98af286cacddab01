/**
 * Can a probe tell by an answer's first tokens that the answer is going to be harmful? Then it
 * could raise the safety weight while the answer grows, as a router does. Nothing here is served:
 * it measures, in some minutes, whether that would be worth having. Answers are read after their
 * prompts in the row that a look reads, and their first tokens are pooled as a window is. The
 * scores that are compared are in answer-figures.ts.
 */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { openBundle, type ServedBundle } from '#gpu-backend/model/load-bundle.ts';
import { ANY_HARM } from '#shared/classify/combine-scores.ts';
import { declines } from '#training/data/declines.ts';
import { BENIGN, HARM_UNKNOWN } from '../classifier/example.ts';
import { rocAuc } from '../classifier/metrics.ts';
import { readPublic } from '../classifier/read-public.ts';
import { type AnswerFigures, answersTable, compareAnswers } from './answer-figures.ts';
import { type AnswerRow, answerRows, type MostAnswers } from './answer-rows.ts';
import { atMost } from './at-most.ts';
import { chooseReading, layerSets, POOLING_SETS } from './choose-reading.ts';
import { type Corpus, placesOf, type Reading, rowsOfPart, scoresOf } from './corpus.ts';
import type { FitOptions, Fitted } from './fit-logistic.ts';
import { fitProbe } from './fit-probe.ts';
import { type PlannedPrompt, planAnswer, planPrompt, sharedTokens } from './plan-prompts.ts';
import { type ProbeRow, probeRows } from './probe-rows.ts';
import { fitsBar, promptsBar } from './progress.ts';
import { StateReader, type States } from './read-states.ts';
import { candidateLayers, type ProbeRecipe } from './recipe.ts';
import { promptsDigest, statesOf } from './state-files.ts';
import { bare, checkedLayers, STATES, type TrainProbesOptions } from './train-probes.ts';

/** About 60,000 tokens. */
export const ANSWERS = {
  /** After how many of an answer's tokens it is asked. */
  cuts: [5, 10, 20],
  /** Of a prompt and the answer's first tokens. Longer ones are left out. */
  mostTokens: 128,
  /** Of each side of a source, in each part: for the prompt's probe. */
  promptsEach: 5,
  most: { harmful: 3, others: { train: 100, dev: 30, test: 60 } } satisfies MostAnswers,
  /** The small world's pairs in each part, to pick from. */
  worldPairs: 300,
};

type Given = Omit<TrainProbesOptions, 'base' | 'data' | 'mostEach'>;

export async function measureAnswers({ base, data, ...options }: Omit<TrainProbesOptions, 'mostEach'>): Promise<void> {
  const opened = await openBundle(base);
  console.error(`reading answers and prompts from ${data}`);
  const answers = await answerRows(data, { seed: options.recipe.seed, ...ANSWERS });
  const prompts = atMost(probeRows(await readPublic(data), options.recipe), ANSWERS.promptsEach);
  const figures = await measureOnRows(opened, { answers, prompts }, { ...options, sizes: ANSWERS });
  console.log(`${answersTable(figures)}\n\nfigures in ${path.join(options.out, 'answers.json')}`);
}

/** The rest of it, on rows that are given. Of the prompts, those of the part test are not read. */
export async function measureOnRows(
  opened: ServedBundle,
  { answers: all, prompts: allPrompts }: { answers: readonly AnswerRow[]; prompts: readonly ProbeRow[] },
  { out, row, layers: asked, threads, recipe, sizes }: Given & { sizes: Pick<typeof ANSWERS, 'cuts' | 'mostTokens'> },
): Promise<AnswerFigures> {
  const { config, id, digest } = opened;
  const { cuts, mostTokens } = sizes;
  const bundle = row === 'base' ? bare(opened) : opened;
  const layers = checkedLayers(asked ?? candidateLayers(config.num_hidden_layers), config.num_hidden_layers);
  const window = recipe.firstWindow;

  const fits = (plan: PlannedPrompt | null): plan is PlannedPrompt => plan !== null && plan.ids.length <= mostTokens;
  const asPrompts = allPrompts
    .filter(({ part }) => part !== 'test')
    .map((own) => ({ own, plan: planPrompt(own.example.text, { prompt: 0, bundle, windows: [window] }) }))
    .filter(({ plan }) => fits(plan));
  const asAnswers = all
    .map((own) => ({ own, plan: planAnswer(own, { prompt: 0, bundle, window, cuts }) }))
    .filter((each): each is { own: AnswerRow; plan: PlannedPrompt } => fits(each.plan));
  const plans = [...asPrompts, ...asAnswers]
    .map(({ plan }, prompt): PlannedPrompt => ({ ...plan, prompt }))
    .sort((a, b) => a.ids.length - b.ids.length || a.prompt - b.prompt);
  const shared = sharedTokens(plans);
  const states = await readStates(bundle, plans, { out, digest, row, layers, threads, shared });

  const places = placesOf(plans);
  const corpus = (rows: ProbeRow[], pieces: number[][][], windows: number[]): Corpus => {
    return { rows, states, hiddenSize: config.hidden_size, windows, pieces };
  };
  const prompts = corpus(
    asPrompts.map(({ own }) => own),
    asPrompts.map((_, i) => places.get(i)!),
    [window],
  );
  // An answer's places are those of each cut, and then those of its prompt.
  const answers = asAnswers.map(({ own }) => own);
  const placesOfAnswer = answers.map((_, i) => places.get(asPrompts.length + i)!);
  const before = corpus(
    answers.map(rowOf),
    placesOfAnswer.map((own) => own.slice(-1)),
    [window],
  );
  // A row for each cut of each answer.
  const cut = corpus(
    answers.flatMap((answer) => cuts.map(() => rowOf(answer))),
    placesOfAnswer.flatMap((own) => own.slice(0, -1).map((places) => [places])),
    [window],
  );

  const bar = fitsBar();
  const fit: FitOptions = { steps: recipe.steps, learningRate: recipe.learningRate, threads };
  const given = { layers, recipe, fit, onFit: bar.onFit };
  try {
    const prompt = await promptProbe(prompts, given);
    const trained = await answerProbe(cut, given);
    const every = (corpus: Corpus, probe: ChosenProbe) => scoresOf(corpus, [...corpus.rows.keys()], probe);
    const [asked, moved, own] = [every(before, prompt), every(cut, prompt), every(cut, trained)];
    const scored = asAnswers.map(({ own, plan }, i) => ({ ...own, plan, i }));
    const count = (part: AnswerRow['part']) => answers.filter((answer) => answer.part === part).length;
    const figures: AnswerFigures = {
      base: { id, digest, row },
      tokens: plans.reduce((sum, { ids }) => sum + ids.length - shared, shared),
      answers: { train: count('train'), dev: count('dev'), test: count('test') },
      leftOut: all.length - answers.length,
      prompts: asPrompts.length,
      chosen: { prompts: prompt.reading, answers: trained.reading },
      test: compareAnswers(
        scored.filter(({ part }) => part === 'test'),
        {
          cuts,
          scoresOf: ({ i, answer }, length) => {
            const at = i * cuts.length + cuts.indexOf(length);
            const begun = bundle.tokenizer.decode(bundle.tokenizer.encode(answer).slice(0, length));
            return { words: declines(begun) ? 0 : 1, asked: asked[i]!, moved: moved[at]!, trained: own[at]! };
          },
        },
      ),
    };
    await writeFile(path.join(out, 'answers.json'), `${JSON.stringify(figures, null, 2)}\n`);
    return figures;
  } finally {
    bar.stop();
  }
}

/** As fits see an answer: harmful in a way that nobody has named, or not. */
function rowOf({ part, safe, answer, set }: AnswerRow): ProbeRow {
  const targets = safe ? BENIGN : HARM_UNKNOWN;
  const example = { text: answer, source: set, targets, someHarm: !safe, weight: 1, scary: false };
  return { example: { ...example, split: 'train' }, part, inWeights: true, seenByEdge: false };
}

async function readStates(
  bundle: ServedBundle,
  plans: readonly PlannedPrompt[],
  given: Pick<Given, 'out' | 'row' | 'threads'> & { digest: string; layers: readonly number[]; shared: number },
): Promise<States> {
  const { out, digest, row, layers, threads, shared } = given;
  const bar = promptsBar(plans.map(({ ids }) => ids.length));
  try {
    return await statesOf(plans, {
      dir: path.join(out, STATES),
      hiddenSize: bundle.config.hidden_size,
      settings: { base: digest, row, layers: [...layers], prompts: promptsDigest(plans) },
      openReader: async () => {
        const reader = await StateReader.create(bundle, { layers, threads });
        await reader.share(plans[0]!.ids.slice(0, shared));
        return reader;
      },
      onPrompts: bar.onPrompts,
    });
  } finally {
    bar.stop();
  }
}

type ChosenProbe = { fitted: Fitted; reading: Reading };
type Fits = { layers: readonly number[]; recipe: ProbeRecipe; fit: FitOptions; onFit: () => void };

async function promptProbe(corpus: Corpus, { layers, recipe, fit, onFit }: Fits): Promise<ChosenProbe> {
  const { reading, trials } = await chooseReading(corpus, { layers, recipe, fit, onTrial: onFit });
  const { l2 } = trials.reduce((most, trial) => (trial.worth > most.worth ? trial : most));
  const request = { reading, rows: rowsOfPart(corpus, 'train'), judgements: [ANY_HARM], l2: [l2] };
  return { fitted: (await fitProbe(corpus, request, fit)).fitted[0]![0]!, reading };
}

/** What tells answers of dev apart best, all cuts together. Of equals, what reads less. */
async function answerProbe(corpus: Corpus, { layers, recipe, fit, onFit }: Fits): Promise<ChosenProbe> {
  const dev = rowsOfPart(corpus, 'dev');
  let best: (ChosenProbe & { auc: number }) | null = null;
  for (const set of layerSets(layers)) {
    for (const poolings of POOLING_SETS) {
      const reading = { layers: set, poolings, window: recipe.firstWindow };
      const request = { reading, rows: rowsOfPart(corpus, 'train'), judgements: [ANY_HARM], l2: recipe.l2 };
      for (const fitted of (await fitProbe(corpus, request, fit)).fitted[0]!) {
        const scores = scoresOf(corpus, dev, { fitted, reading });
        const auc =
          rocAuc(dev.map((row, i) => ({ score: scores[i]!, positive: corpus.rows[row]!.example.someHarm }))) ?? 0;
        if (best === null || auc > best.auc) best = { fitted, reading, auc };
      }
      onFit();
    }
  }
  if (best === null) throw new Error('found no layer to read');
  return best;
}
