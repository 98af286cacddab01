/**
 * `plimsoll eval`: measures the experts of a bundle, on held-out questions of the small world or on
 * the user's own prompts and pairs.
 */
import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Command, Option } from 'commander';
import { BUNDLE_FILES } from '#gpu-backend/model/bundle-files.ts';
import { ANSWER_LEGEND, answerTable } from '#lab/evaluate/answer-figures.ts';
import type { Sampling } from '#lab/evaluate/answer-prompts.ts';
import { DEFAULT_LINES, LINE_NAMES, lineOf } from '#lab/evaluate/chosen-lines.ts';
import { EVALUATION_LEGEND, evaluateBundle, evaluationTable } from '#lab/evaluate/evaluate-bundle.ts';
import { evaluateOwn, type OwnEvaluation } from '#lab/evaluate/evaluate-own.ts';
import { readPrompts } from '#lab/evaluate/own-prompts.ts';
import { accuracyTable, PAIR_LEGEND } from '#lab/evaluate/pair-accuracy.ts';
import { DEMO } from '#lab/methods/recipe.ts';
import { EDITIONS, type Edition } from '#lab/world/editions.ts';
import { PREFERENCE_LAYOUTS } from '#training/data/preferences.ts';
import { claimFile } from '#training/run/claim-folder.ts';
import { inBundle } from './options/bundle-folder.ts';
import { integer, number } from './options/numbers.ts';

type Flags = {
  bundle: string;
  prompts?: string;
  answers?: string;
  resume: boolean;
  lines: string[];
  pairs: string[];
  judged: 'safer' | 'better';
  edition: Edition;
  perAsk: number;
  temperature: number;
  topP: number;
  seed: number;
  maxTokens: number;
  samples: number;
  json?: string;
  force: boolean;
  threads: number;
};

export function evalCommand(): Command {
  return new Command('eval')
    .description(
      "ask a bundle's experts, alone and at chosen lines: your own prompts and pairs, or held-out questions of the small world",
    )
    .option('--bundle <dir>', 'the bundle', 'models/demo')
    .option('--prompts <file>', 'your own prompts: JSON Lines with prompt or messages, or .txt with one a line')
    .option('--answers <file>', 'where the answers to --prompts go, one JSON object a line')
    .option('--resume', 'go on with the file of --answers', false)
    .option(
      '--lines <names...>',
      `lines to answer --prompts under: ${LINE_NAMES.join(', ')}, or your own as in floor=0.5,budget=4`,
      DEFAULT_LINES,
    )
    .option(
      '--pairs <files...>',
      `your own pairs, LAYOUT:FILE; layouts: ${Object.keys(PREFERENCE_LAYOUTS).join(', ')}`,
      [],
    )
    .addOption(
      new Option('--judged <name>', 'what was judged in the layouts of --pairs that do not say')
        .choices(['safer', 'better'])
        .default('safer'),
    )
    .addOption(new Option('--edition <name>', 'edition of the small world').choices(EDITIONS).default(DEMO.edition))
    .option('--per-ask <n>', 'questions of the small world for each topic and kind', integer, DEMO.perAsk)
    .option('--temperature <x>', 'sampling temperature', number, DEMO.evaluation.temperature)
    .option('--top-p <x>', 'top-p of nucleus sampling', number, DEMO.evaluation.topP)
    .option('--seed <n>', 'seed of the questions and the draws', integer, DEMO.evaluation.seed)
    .option('--max-tokens <n>', 'longest answer, in tokens', integer, DEMO.evaluation.maxTokens)
    .option('--samples <n>', 'questions of the small world to show with their answers, spread evenly', integer, 4)
    .option('--json <file>', 'write all figures to this file')
    .option('--force', 'replace the files of --json and --answers', false)
    .option('--threads <n>', 'threads to use; 0: all cores', integer, 0)
    .action(async (flags: Flags) => {
      const { bundle, prompts, pairs, json, force, temperature, topP, seed, maxTokens } = flags;
      if (json) claimFile(json, { force });
      const dir = path.resolve(bundle);
      if (!existsSync(path.join(dir, BUNDLE_FILES.manifest))) {
        throw new Error(`there is no bundle in ${dir}; --bundle names the folder of one`);
      }
      const sampling = { temperature, topP, seed, maxTokens };
      const isOwn = prompts !== undefined || pairs.length > 0;
      const run = () => (isOwn ? evaluateOwnFiles(dir, flags, sampling) : evaluateWorld(dir, flags, sampling));
      const evaluation = await inBundle<object>(dir, run);
      if (json) await writeFile(json, `${JSON.stringify(evaluation, null, 2)}\n`);
    });
}

async function evaluateOwnFiles(dir: string, flags: Flags, sampling: Sampling): Promise<OwnEvaluation> {
  const { prompts: file, lines, pairs, judged, threads } = flags;
  const prompts =
    file === undefined
      ? null
      : {
          messages: await readPrompts(file),
          lines: Object.fromEntries(lines.map((name) => [name, lineOf(name)])),
          file: await claimAnswers(flags),
        };
  const evaluation = await evaluateOwn({ dir, prompts, pairs, judged, sampling, threads });
  if (prompts !== null) {
    console.log(`${prompts.messages.length} prompts, answers in ${prompts.file}`);
    console.log(`${answerTable(evaluation.answers)}\n${ANSWER_LEGEND}`);
  }
  if (pairs.length > 0) console.log(`${accuracyTable(evaluation.pairs)}\n${PAIR_LEGEND}`);
  return evaluation;
}

async function claimAnswers({ answers, resume, force }: Flags): Promise<string> {
  if (answers === undefined) throw new Error('--answers is missing: the file that the answers to --prompts go to');
  if (existsSync(answers) && !resume && !force) {
    throw new Error(`${answers} is there already: --resume goes on with it, --force replaces it, or name another file`);
  }
  claimFile(answers, { force: resume || force });
  if (!resume) await rm(answers, { force: true });
  return answers;
}

async function evaluateWorld(dir: string, flags: Flags, sampling: Sampling) {
  const { edition, perAsk, threads, samples } = flags;
  const evaluation = await evaluateBundle({ dir, edition, perAsk, sampling, threads, samples, lines: DEMO.lines });
  for (const { question, kind, answers } of evaluation.samples) {
    console.log(`${question} (${kind})`);
    for (const [name, text] of Object.entries(answers)) console.log(`  ${name}: ${text}`);
  }
  const { safetyFromHelpfulness, helpfulnessFromSafety } = evaluation.divergence;
  console.log(
    `\n${evaluation.questions} held-out questions\n${evaluationTable(evaluation.sets)}\n${EVALUATION_LEGEND}`,
  );
  console.log(
    `KL(safety || helpfulness) ${safetyFromHelpfulness.toFixed(3)} nats a token, KL(helpfulness || safety) ${helpfulnessFromSafety.toFixed(3)} (estimated at temperature 1)`,
  );
  return evaluation;
}
