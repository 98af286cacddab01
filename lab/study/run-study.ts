/**
 * The study, from a trained base to the report. It trains, answers and judges what is not there
 * yet, then writes the report.
 */
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { isBundle, openBase } from '#training/stages/base-model.ts';
import { DEMO } from '../methods/recipe.ts';
import type { RunContext } from '../methods/runs.ts';
import { splitOf, topicKey } from '../split/split.ts';
import { loadTopics } from '../world/load-topics.ts';
import { HYPOTHESES_FILE, readHypotheses } from './analysis/hypotheses-file.ts';
import { collectResults } from './cells/collect-results.ts';
import { runGrid } from './cells/grid.ts';
import { withHandLabels } from './hand-labels/agreement.ts';
import { realJudges } from './judges/real-judges.ts';
import type { AskedPart } from './questions/held-out-sets.ts';
import { SET_IDS, studySets } from './questions/sets.ts';
import { writeReport } from './report/write-report.ts';
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
  /** Runs of `train demo`, or a bundle: where the base comes from. */
  from: string;
  /** The folder for runs and answers. It must exist. */
  out: string;
  /** The folder for the report. It must exist. */
  report: string;
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
   */
  heldOutTopics: boolean;
  /** Which share of the topics to ask in all sets but those of `whole`. */
  share: number;
  whole: readonly string[];
  /** How many pairs of the small world every run uses. */
  pairs: number;
  threads: number;
  /** Whether to train and answer what is missing, or only to judge what is there. */
  make: boolean;
};

/** Returns the seconds of training steps and of answering behind the report. */
export async function runStudy(options: StudyOptions): Promise<{ training: number; generating: number }> {
  const { from, out, seeds, methods, part, heldOutTopics, pairs, threads, make } = options;
  const tokenizerDir = isBundle(from) ? from : path.join(from, 'tokenizer');
  const base = isBundle(from) ? await openBase(from) : await openBase(path.join(from, 'sft'), tokenizerDir);
  const { tokenizer } = base;
  const registered = { file: HYPOTHESES_FILE, digest: readHypotheses().digest };
  // Before anything is answered, or where there are answers already, the hypotheses must stand.
  if (make && !holdsAnswers(out)) register(out, registered);
  else assertRegistered(readRegistration(out), registered);
  const edition = heldOutTopics ? 'whole' : 'first';
  const topics = heldOutTopics
    ? loadTopics({ edition }).flatMap(({ id }) => (splitOf(topicKey(id)) === 'train' ? [id] : []))
    : null;
  const contexts = seeds.map((seed): RunContext => {
    const dir = path.join(out, `seed-${seed}`);
    return { dir, seed, edition, worldPairs: pairs, ...(topics && { topics }), base, tokenizer, threads };
  });
  const dataDir = existsSync(options.data) ? options.data : null;
  const { sets, missing } = await studySets(
    {
      seed: DEMO.evaluation.seed,
      edition,
      part,
      heldOutTopics,
      share: options.share,
      whole: options.whole,
      dataDir,
      perSource: PROMPTS_PER_SOURCE,
      promptTokens: (messages) => tokenizer.renderChat(messages).length,
      maxPromptTokens: MAX_PROMPT_TOKENS,
    },
    SET_IDS.filter((id) => id === 'world' || options.sets.includes(id)),
  );
  const study = {
    contexts,
    tokenizerDir,
    world: sets.find(({ world }) => world)!,
    real: sets.filter(({ world }) => !world),
    sampling: DEMO.evaluation,
    methods,
    make,
  };
  // Before hours of answering: a prompt that is asked and learned from stops the study here.
  const dir = path.join(out, 'judges');
  const judging = await realJudges({ dir, base, tokenizerDir, dataDir, sets: study.real, threads, make });
  const grid = await runGrid(study);
  const judged = await collectResults(study, grid, {
    ...judging,
    missing: [...missing, ...judging.missing],
  }).finally(judging.close);
  const judges = withHandLabels(judged.judges, { answered: grid.cells, judged: judged.cells });
  const results = { ...judged, judges };
  const file = path.join(options.report, RESULTS_FILE);
  const bytes = writeResults(file, { results, registration: readRegistration(out) });
  process.stderr.write(`study: ${file}: ${(bytes / 1e6).toFixed(1)} MB\n`);
  await writeReport(file, { out: options.report });
  return results.seconds;
}

const holdsAnswers = (out: string): boolean =>
  readdirSync(out).some((name) => name.startsWith('seed-') && existsSync(path.join(out, name, 'answers')));
