/** The flags that several stages share: folders, and how to save and resume a run. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { type Command, Option } from 'commander';
import { cacheFolder } from '#gpu-backend/model/cache-folder.ts';
import { KNOWN_MODELS } from '#gpu-backend/pull/known-models.ts';
import { type BaseModel, openBase as openBaseModel } from '#training/stages/base-model.ts';
import type { SampleOptions } from '#training/stages/sample-answers.ts';
import type { TrainingTokenizer } from '#training/tokenizer/chat-files.ts';
import { dataOption } from '../options/data-option.ts';
import { integer, number } from '../options/numbers.ts';

export type RunFlags = {
  out: string;
  resume: boolean;
  force: boolean;
  threads: number;
  checkpointEverySeconds: number;
  evalEvery: number;
  /** Undefined: as the run did before. */
  keep?: 'best' | 'last';
};
export type BaseFlags = { base: string; tokenizer?: string };
export type OnBaseFlags = RunFlags & BaseFlags;

export const withRun = (command: Command) =>
  command
    .requiredOption('--out <dir>', 'where checkpoints and metrics go')
    .option('--resume', 'go on from the newest checkpoint in --out', false)
    .option('--force', 'replace an earlier run of this stage in --out', false)
    .option('--checkpoint-every-seconds <n>', 'how much a killed run may lose', number, 120)
    .option('--eval-every <n>', 'steps between evaluations; 0: four a run, or every 250 steps of sft', integer, 0)
    .addOption(
      new Option(
        '--keep <name>',
        'which weights later stages use: those of the last step (the default of a new run), or of the lowest ' +
          'held-out loss; with --resume, by default what the run has kept so far',
      ).choices(['last', 'best']),
    )
    .option('--threads <n>', 'threads to use; 0: all cores', integer, 0);

export type SampleFlags = { samples: number; samplePrompts?: string };

export const withSamples = (command: Command) =>
  command
    .option(
      '--samples <n>',
      'sample answers at the start and at every evaluation, greedy; 0: none, whatever --sample-prompts has',
      integer,
      3,
    )
    .option('--sample-prompts <file>', 'questions to answer, one a line, instead of held-out ones');

/** Throws if the file cannot be read or holds no question. */
export async function samplesOf({ samples: count, samplePrompts: file }: SampleFlags): Promise<SampleOptions> {
  if (file === undefined || count === 0) return { count };
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new Error(`--sample-prompts ${file}: the file cannot be read`, { cause });
  });
  const lines = text.split('\n').map((line) => line.trim());
  const prompts = lines.filter(Boolean).map((content) => [{ role: 'user' as const, content }]);
  if (prompts.length === 0) throw new Error(`--sample-prompts ${file}: found no question in it`);
  return { count: Math.max(count, prompts.length), prompts };
}

export const withBase = (command: Command) =>
  command
    .requiredOption('--base <dir>', 'the model to train on: a bundle, the name of a pulled model, or a run of sft')
    .option('--tokenizer <dir>', 'folder made by the stage tokenizer; a bundle has its own');

export const withData = (command: Command) => command.addOption(dataOption('folder with the real conversations'));

/** The folder that `--base` means: its own words, or the name of a model that has been pulled. */
export function folderOfBase(base: string): string {
  if (existsSync(base) || !Object.hasOwn(KNOWN_MODELS, base)) return base;
  const pulled = path.join(cacheFolder(process.env).bundles, base);
  if (existsSync(pulled)) return pulled;
  throw new Error(`--base ${base}: found neither such a folder nor the model: npx plimsoll model pull ${base}`);
}

export async function openBase({
  base,
  tokenizer,
}: BaseFlags): Promise<{ base: BaseModel; tokenizer: TrainingTokenizer }> {
  const opened = await openBaseModel(folderOfBase(base), tokenizer);
  return { base: opened, tokenizer: opened.tokenizer };
}
