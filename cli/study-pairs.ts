/** `plimsoll study pairs`: two methods' answers side by side, for somebody to read blind. */
import { Command, Option } from 'commander';
import { DEMO } from '#lab/methods/recipe.ts';
import { SHEET } from '#lab/study/folder-kinds.ts';
import { readPairs, writePairs } from '#lab/study/hand-labels/pairs.ts';
import { readCells } from '#lab/study/hand-labels/read-cells.ts';
import { askedPrompts } from '#lab/study/judges/asked-prompts.ts';
import { attackSet, worldSet } from '#lab/study/questions/questions.ts';
import { SET_IDS } from '#lab/study/questions/sets.ts';
import { claimFolder } from '#training/run/claim-folder.ts';
import { openTokenizer, readChatFiles } from '#training/tokenizer/chat-files.ts';
import { dataOption } from './options/data-option.ts';
import { integer, positiveInteger } from './options/numbers.ts';

type PairsFlags = {
  base: string;
  study: string;
  out: string;
  data: string;
  first: string;
  second: string;
  set: string;
  count: number;
  seed: number;
};

export const studyPairs = () =>
  new Command('pairs')
    .description('draw answers of two methods to the same prompts, to be read blind side by side; or count the labels')
    .requiredOption('--out <dir>', 'where pairs.jsonl and pairs-key.jsonl go; with pairs-labels.jsonl: count them')
    .requiredOption('--base <dir>', 'the bundle that the study started from, for its tokenizer')
    .option('--study <dir>', "the study's folder, with its answers", 'runs/study')
    .addOption(dataOption("folder with the study's real prompts"))
    .option('--first <method>', 'one method', 'open')
    .option('--second <method>', 'the other', 'base')
    .addOption(new Option('--set <id>', 'the set of prompts').choices(SET_IDS).default('ordinary-whole'))
    .option('--count <n>', 'how many pairs', positiveInteger, 100)
    .option('--seed <n>', 'which pairs, and in which order', integer, 1)
    .action(async ({ base, study, out, data, first, second, ...draw }: PairsFlags) => {
      const dir = claimFolder(out, { kind: SHEET, resume: true });
      const found = readPairs(dir);
      if (found) {
        const { methods, first: one, second: other, same, p } = found;
        console.log(`${methods[0]} better: ${one}, ${methods[1]} better: ${other}, same: ${same}; sign test p = ${p}`);
        return;
      }
      const { tokenizer } = openTokenizer(await readChatFiles(base));
      const world = worldSet({ edition: 'whole', seed: DEMO.evaluation.seed });
      const sets = [world, attackSet(world), ...(await askedPrompts(data))];
      const cells = readCells(study, { sets, tokenizer });
      const drawn = writePairs(cells, { dir, methods: [first, second], ...draw });
      console.log(`${dir}: ${drawn} pairs; keep the key away from the reader`);
    });
