/** `plimsoll study`: compares methods, from a trained base to the report. */
import { existsSync } from 'node:fs';
import { Command, Option } from 'commander';
import { DEMO } from '#lab/methods/recipe.ts';
import { METHOD_IDS } from '#lab/study/cells/methods.ts';
import { REPORT, STUDY_RUNS } from '#lab/study/folder-kinds.ts';
import { type AskedPart, PARTS_ASKED } from '#lab/study/questions/held-out-sets.ts';
import { SET_IDS } from '#lab/study/questions/sets.ts';
import { writeReport } from '#lab/study/report/write-report.ts';
import { runStudy } from '#lab/study/run-study.ts';
import { claimFolder } from '#training/run/claim-folder.ts';
import { formatSeconds } from '#training/run/progress.ts';
import { dataOption } from './options/data-option.ts';
import { integer, share } from './options/numbers.ts';
import { studyJudges } from './study-judges.ts';
import { studyPairs } from './study-pairs.ts';
import { studySheet } from './study-sheet.ts';
import { tenantLines } from './tenant-lines.ts';

const SEEDS = [DEMO.seed, DEMO.seed + 1, DEMO.seed + 2];

type StudyFlags = {
  from: string;
  recipes: string[];
  earlier?: string;
  retrained: boolean;
  out: string;
  report: string;
  force: boolean;
  seeds: string[];
  methods?: string[];
  sets: (typeof SET_IDS)[number][];
  data: string;
  part: AskedPart;
  heldOutTopics: boolean;
  share: number;
  whole: string[];
  pairs: number;
  maxTokens?: number;
  answerAgain: boolean;
  matchedWeight?: number;
  served?: string;
  threads: number;
};

export function studyCommand(): Command {
  const study = new Command('study').description(
    `compare MidPO with the alternatives on held-out questions\n\nmethods: ${METHOD_IDS.join(' ')}`,
  );
  for (const [name, description, make] of [
    ['run', 'train, answer, judge and report what is missing (takes hours; you can stop and restart it)', true],
    ['report', 'judge and report what is there', false],
  ] as const) {
    study
      .command(name, { isDefault: make })
      .description(description)
      .option(
        '--from <dir>',
        'the base to start from: runs of `train demo`, or a bundle',
        existsSync('runs/demo/sft') ? 'runs/demo' : 'models/demo',
      )
      .addOption(
        new Option(
          '--recipes <dirs...>',
          'finished folders of `train smollm2` on the base --from, one a seed: compare what they trained; the rest learns from their pairs',
        )
          .default([], 'train all on the small world')
          .conflicts(['seeds', 'pairs', 'heldOutTopics']),
      )
      .option(
        '--earlier <results>',
        'results.jsonl.gz of an earlier sitting of this study, whose answers are lost: what it holds is not asked again, and recipes may be missing',
      )
      .option(
        '--retrained',
        'with --earlier: a recipe may have been trained again and come out otherwise; the report says which answers are its',
        false,
      )
      .option('--out <dir>', 'where runs and answers go', 'runs/study')
      .option('--report <dir>', 'where the report goes', 'docs/evaluation')
      .option('--force', 'replace an earlier report in --report', false)
      .option(
        '--seeds <n...>',
        'seeds; the first answers with every method, the others with the headline methods',
        SEEDS.map(String),
      )
      .option('--methods <ids...>', 'only these methods')
      .addOption(
        new Option('--sets <ids...>', 'question sets to use; the world is always among them')
          .choices(SET_IDS)
          .default([...SET_IDS]),
      )
      .addOption(dataOption('folder with the real prompts and pairs'))
      .addOption(
        new Option('--part <name>', 'which part of the prompts to ask: make choices on dev, ask test once at the end')
          .choices(PARTS_ASKED)
          .default('test'),
      )
      .option('--held-out-topics', 'train on some topics of the world and ask about others', false)
      .option('--share <s>', 'ask this share of the topics of every set', share, 1)
      .addOption(
        new Option('--whole <ids...>', 'sets of which all topics are asked, whatever the share')
          .choices(SET_IDS)
          .default([]),
      )
      .option('--pairs <n>', 'pairs of the small world in every run', integer, WORLD_PAIRS)
      .option(
        '--max-tokens <n>',
        `the most tokens of an answer (default: ${DEMO.evaluation.maxTokens}; with --recipes that of the recipes)`,
        integer,
      )
      .option(
        '--served <bundle>',
        "the bundle that ships: ask it what the demo tenants are served, with its probe (default: each seed's own, without)",
      )
      .option(
        '--matched-weight <w>',
        "the router's mean weight under floor 0.3 and budget 20, measured on dev: constants are compared with it at this weight (default: the bundle's)",
        share,
      )
      .option('--answer-again', 'replace answers to test that were made otherwise, say by another bundle', false)
      .option('--threads <n>', 'threads to use; 0: all cores', integer, 0)
      .action((flags: StudyFlags) => compare(flags, make));
  }
  study.addCommand(studyJudges());
  study.addCommand(studySheet());
  study.addCommand(studyPairs());
  study
    .command('recompute')
    .description('makes the report again from a file of results, such as docs/evaluation/results.jsonl.gz')
    .argument('<results>', 'a results.jsonl.gz that `study run` or `study report` wrote')
    .requiredOption('--report <dir>', 'where the report goes')
    .option('--force', 'replace an earlier report in --report', false)
    .action((file: string, { report, force }: { report: string; force: boolean }) =>
      writeReport(file, { out: claimFolder(report, { kind: REPORT, force }) }),
    );
  return study;
}

/** Small-world pairs in every run. The demo's recipe uses more pairs, and also other kinds. */
const WORLD_PAIRS = 4_000;

async function compare({ force, seeds, methods, ...flags }: StudyFlags, make: boolean) {
  const unknown = (methods ?? []).filter((id) => !METHOD_IDS.includes(id));
  if (unknown.length > 0) throw new Error(`no such method: ${unknown.join(', ')}; plimsoll study --help lists them`);
  const out = claimFolder(flags.out, { kind: STUDY_RUNS, resume: true });
  const report = claimFolder(flags.report, { kind: REPORT, force });
  const { training, generating } = await runStudy({
    ...flags,
    out,
    report,
    seeds: seeds.map(integer),
    methods,
    tenants: await tenantLines(),
    make,
  });
  console.log(`${formatSeconds(training)} of training steps, ${formatSeconds(generating)} of answering`);
}
