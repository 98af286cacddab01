/** `plimsoll study sheet`: draws answers of a study for somebody to read and label, blind. */
import { Command } from 'commander';
import { DEMO } from '#lab/methods/recipe.ts';
import { SHEET } from '#lab/study/folder-kinds.ts';
import { readCells } from '#lab/study/hand-labels/read-cells.ts';
import { writeSheet } from '#lab/study/hand-labels/write-sheet.ts';
import { askedPrompts } from '#lab/study/judges/asked-prompts.ts';
import { attackSet, worldSet } from '#lab/study/questions/questions.ts';
import { claimFolder } from '#training/run/claim-folder.ts';
import { openTokenizer, readChatFiles } from '#training/tokenizer/chat-files.ts';
import { dataOption } from './options/data-option.ts';
import { integer, positiveInteger } from './options/numbers.ts';

type SheetFlags = {
  base: string;
  study: string;
  out: string;
  data: string;
  heldOutTopics: boolean;
  count: number;
  seed: number;
};

export const studySheet = () =>
  new Command('sheet')
    .description('draw answers of a study for somebody to label by hand: a blind sheet, and its key beside it')
    .requiredOption('--out <dir>', 'where sheet.jsonl and key.jsonl go')
    .requiredOption('--base <dir>', 'the bundle that the study started from, for its tokenizer')
    .option('--study <dir>', "the study's folder, with its answers", 'runs/study')
    .addOption(dataOption("folder with the study's real prompts"))
    .option(
      '--held-out-topics',
      'the study has asked about held-out topics of the whole world; recipes always do',
      false,
    )
    .option('--count <n>', 'how many answers', positiveInteger, 200)
    .option('--seed <n>', 'which answers, and in which order', integer, 1)
    .action(async ({ base, study, out, data, heldOutTopics, count, seed }: SheetFlags) => {
      const dir = claimFolder(out, { kind: SHEET, resume: true });
      const world = worldSet({ edition: heldOutTopics ? 'whole' : 'first', seed: DEMO.evaluation.seed });
      const sets = [world, attackSet(world), ...(await askedPrompts(data))];
      const { tokenizer } = openTokenizer(await readChatFiles(base));
      const drawn = writeSheet(readCells(study, { sets, tokenizer }), { dir, count, seed });
      console.log(`${dir}: ${drawn} answers; keep the key away from the reader`);
    });
