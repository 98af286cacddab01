/** `plimsoll study`: the comparison of methods, from a trained base to the report. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { Command, Option } from 'commander';
import { BUNDLE_FILES } from '#gpu-backend/model/bundle-files.ts';
import { integer } from '#training/cli-numbers.ts';
import { REPORT, STUDY_RUNS } from '#training/commands/folder-kinds.ts';
import { claimFolder } from '#training/run/claim-folder.ts';
import { hasFigures } from '#training/run/last-figures.ts';
import { formatSeconds } from '#training/run/progress.ts';
import { baseOfBundle, loadBaseModel } from '#training/stages/base-model.ts';
import { openTokenizer, readChatFiles } from '#training/tokenizer/chat-files.ts';
import { DEFAULT_DATA } from '../demo/default-data.ts';
import { DEMO } from '../methods/recipe.ts';
import type { RunContext } from '../methods/runs.ts';
import { collectResults } from './collect-results.ts';
import { runGrid } from './grid.ts';
import type { Judge } from './judge-cells.ts';
import { judgeReal } from './judges/judge-real.ts';
import { realModels } from './judges/real-models.ts';
import { refusalJudge } from './judges/refusal.ts';
import { METHODS } from './methods.ts';
import type { QuestionSet } from './questions.ts';
import { writeReport } from './report/write-report.ts';
import type { StudyResults } from './results.ts';
import { SET_IDS, studySets } from './sets.ts';

const SEEDS = [DEMO.seed, DEMO.seed + 1, DEMO.seed + 2];

type StudyFlags = {
  from: string;
  out: string;
  report: string;
  force: boolean;
  seeds: string[];
  methods?: string[];
  sets: (typeof SET_IDS)[number][];
  data: string;
  pairs: number;
  threads: number;
};

export function studyCommand(): Command {
  const study = new Command('study').description(
    `compare MidPO with the alternatives on held-out questions\n\nmethods: ${METHODS.map(({ id }) => id).join(' ')}`,
  );
  for (const [name, description, make] of [
    ['run', 'train, answer, judge and report what is not there yet (hours; stop and start it as you like)', true],
    ['report', 'judge and report what is there', false],
  ] as const) {
    study
      .command(name, { isDefault: make })
      .description(description)
      .option(
        '--from <dir>',
        'runs of `train demo`, or a bundle: the base to start from',
        existsSync('runs/demo/sft') ? 'runs/demo' : 'models/demo',
      )
      .option('--out <dir>', 'runs and answers', 'runs/study')
      .option('--report <dir>', 'the report', 'docs/evaluation')
      .option('--force', 'replace an earlier report in --report', false)
      .option(
        '--seeds <n...>',
        'the first answers with every method, the others with the headline ones',
        SEEDS.map(String),
      )
      .option('--methods <ids...>', 'only these')
      .addOption(new Option('--sets <ids...>', 'the world, always, and these').choices(SET_IDS).default([...SET_IDS]))
      .option('--data <dir>', 'folder with the real prompts and pairs', DEFAULT_DATA)
      .option('--pairs <n>', 'pairs of the small world in every run', integer, WORLD_PAIRS)
      .option('--threads <n>', '0: all cores', integer, 0)
      .action((flags: StudyFlags) => compare(flags, make));
  }
  return study;
}

/** In every run. The demo's recipe takes more, and other kinds of them. */
const WORLD_PAIRS = 4_000;

/** Real prompts of each source; with the world's questions the grid fits in about five hours of two cores. */
const PROMPTS_PER_SOURCE = 32;
/** Longer ones leave the demo's context no room for an answer. */
const MAX_PROMPT_TOKENS = 200;

async function compare(flags: StudyFlags, make: boolean) {
  const { from, seeds, methods, pairs, threads } = flags;
  const unknown = (methods ?? []).filter((id) => !METHODS.some((method) => method.id === id));
  if (unknown.length > 0) throw new Error(`no such method: ${unknown.join(', ')}; plimsoll study --help lists them`);
  const out = claimFolder(flags.out, { kind: STUDY_RUNS, resume: true });
  const report = claimFolder(flags.report, { kind: REPORT, force: flags.force });
  const isBundle = existsSync(path.join(from, BUNDLE_FILES.manifest));
  const tokenizerDir = isBundle ? from : path.join(from, 'tokenizer');
  const tokenizer = openTokenizer(await readChatFiles(tokenizerDir));
  const base = isBundle ? await baseOfBundle(from, tokenizer) : await loadBaseModel(path.join(from, 'sft'), tokenizer);
  const contexts = seeds.map((text): RunContext => {
    const seed = integer(text);
    return { dir: path.join(out, `seed-${seed}`), seed, edition: 'first', worldPairs: pairs, base, tokenizer, threads };
  });
  const dataDir = existsSync(flags.data) ? flags.data : null;
  const { sets, missing } = await studySets(
    {
      seed: DEMO.evaluation.seed,
      edition: 'first',
      dataDir,
      perSource: PROMPTS_PER_SOURCE,
      promptTokens: (messages) => tokenizer.renderChat(messages).length,
      maxPromptTokens: MAX_PROMPT_TOKENS,
    },
    SET_IDS.filter((id) => id === 'world' || flags.sets.includes(id)),
  );
  const options = {
    contexts,
    tokenizerDir,
    world: sets.find(({ world }) => world)!,
    real: sets.filter(({ world }) => !world),
    sampling: DEMO.evaluation,
    methods,
    make,
  };
  const grid = await runGrid(options);
  const judging = await realJudges({ dir: path.join(out, 'judges'), dataDir, sets: options.real, threads, make });
  const results = await collectResults(options, grid, { ...judging, missing: [...missing, ...judging.missing] });
  await writeReport(results, { out: report });
  const { training, generating } = results.seconds;
  console.log(`${formatSeconds(training)} of training steps, ${formatSeconds(generating)} of answering`);
}

/** The judges of real answers, trained where `make` allows; without data, or none trained, the label-free figures stand alone. */
async function realJudges({
  dir,
  dataDir,
  sets,
  threads,
  make,
}: {
  dir: string;
  dataDir: string | null;
  sets: readonly QuestionSet[];
  threads: number;
  make: boolean;
}): Promise<{ judge: Judge | null; judges: StudyResults['judges']; missing: string[] }> {
  if (sets.length === 0) return { judge: null, judges: [], missing: [] };
  const refusal = await refusalJudge({ dir, dataDir });
  const trained = hasFigures(path.join(dir, 'cost'));
  const models = dataDir !== null && (make || trained) ? await realModels({ dir, dataDir, sets, threads }) : null;
  const { name, what, figures } = refusal;
  return {
    judge: judgeReal(refusal, models),
    judges: [{ name, what, figures }, ...(models?.judges ?? [])],
    missing: models ? [] : ['reward and cost of real answers: their judges have not been trained'],
  };
}
