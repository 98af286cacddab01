/** `plimsoll study`: the comparison of methods, from a trained base to the report. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { Command } from 'commander';
import { BUNDLE_FILES } from '#gpu-backend/model/bundle-files.ts';
import { integer } from '../cli-numbers.ts';
import { DEMO } from '../demo/recipe.ts';
import type { RunContext } from '../methods/runs.ts';
import { formatSeconds } from '../run/progress.ts';
import { baseOfBundle, loadBaseModel } from '../stages/base-model.ts';
import { openTokenizer, readChatFiles } from '../tokenizer/chat-files.ts';
import { collectResults } from './collect-results.ts';
import { runGrid } from './grid.ts';
import { METHODS } from './methods.ts';
import { worldSet } from './questions.ts';

/** The first seed is the demo's, so that its runs are used again where they are there. */
const SEEDS = [DEMO.seed, DEMO.seed + 1, DEMO.seed + 2];

type StudyFlags = {
  from: string;
  out: string;
  report: string;
  seeds: string[];
  methods?: string[];
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
        'runs of `train demo`, whose base and, for its seed, other runs are used; or a bundle, of which only the base is',
        existsSync('runs/demo/sft') ? 'runs/demo' : 'models/demo',
      )
      .option('--out <dir>', 'runs and answers', 'runs/study')
      .option('--report <dir>', 'the report', 'docs/evaluation')
      .option(
        '--seeds <n...>',
        'the first answers with every method, the others with the headline ones',
        SEEDS.map(String),
      )
      .option('--methods <ids...>', 'only these')
      .option('--pairs <n>', 'pairs of the small world in every run', integer, DEMO.worldPairs)
      .option('--threads <n>', '0: all cores', integer, 0)
      .action((flags: StudyFlags) => compare(flags, make));
  }
  return study;
}

async function compare({ from, out, report, seeds, methods, pairs, threads }: StudyFlags, make: boolean) {
  const unknown = (methods ?? []).filter((id) => !METHODS.some((method) => method.id === id));
  if (unknown.length > 0) throw new Error(`no such method: ${unknown.join(', ')}; plimsoll study --help lists them`);
  const isBundle = existsSync(path.join(from, BUNDLE_FILES.manifest));
  const tokenizerDir = isBundle ? from : path.join(from, 'tokenizer');
  const tokenizer = openTokenizer(await readChatFiles(tokenizerDir));
  const base = isBundle ? await baseOfBundle(from, tokenizer) : await loadBaseModel(path.join(from, 'sft'), tokenizer);
  const contexts = seeds.map((text): RunContext => {
    const seed = integer(text);
    const dir = !isBundle && seed === DEMO.seed ? from : path.join(out, `seed-${seed}`);
    return { dir, seed, edition: 'first', worldPairs: pairs, base, tokenizer, threads };
  });
  const options = {
    contexts,
    tokenizerDir,
    world: worldSet({ edition: 'first', seed: DEMO.evaluation.seed }),
    real: [],
    sampling: DEMO.evaluation,
    methods,
    make,
  };
  const grid = await runGrid(options);
  const results = await collectResults(options, grid, { judge: null, judges: [], missing: [] });
  const { training, generating } = results.seconds;
  console.log(`${formatSeconds(training)} of training steps, ${formatSeconds(generating)} of answering`);
}
