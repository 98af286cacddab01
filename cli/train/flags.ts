/** The flags that several stages share: folders, and how to save and resume a run. */
import type { Command } from 'commander';
import { type BaseModel, openBase as openBaseModel } from '#training/stages/base-model.ts';
import type { TrainingTokenizer } from '#training/tokenizer/chat-files.ts';
import { dataOption } from '../options/data-option.ts';
import { integer, number } from '../options/numbers.ts';

export type RunFlags = {
  out: string;
  resume: boolean;
  force: boolean;
  threads: number;
  checkpointEverySeconds: number;
};
export type BaseFlags = { base: string; tokenizer?: string };
export type OnBaseFlags = RunFlags & BaseFlags;

export const withRun = (command: Command) =>
  command
    .requiredOption('--out <dir>', 'where checkpoints and metrics go')
    .option('--resume', 'go on from the newest checkpoint in --out', false)
    .option('--force', 'replace an earlier run of this stage in --out', false)
    .option('--checkpoint-every-seconds <n>', 'how much a killed run may lose', number, 120)
    .option('--threads <n>', 'threads to use; 0: all cores', integer, 0);

export const withBase = (command: Command) =>
  command
    .requiredOption('--base <dir>', 'the model to train on: a bundle (pulled, imported or exported), or a run of sft')
    .option('--tokenizer <dir>', 'folder made by the stage tokenizer; a bundle has its own');

export const withData = (command: Command) => command.addOption(dataOption('folder with the real conversations'));

export async function openBase({
  base,
  tokenizer,
}: BaseFlags): Promise<{ base: BaseModel; tokenizer: TrainingTokenizer }> {
  const opened = await openBaseModel(base, tokenizer);
  return { base: opened, tokenizer: opened.tokenizer };
}
