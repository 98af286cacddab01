import { readFile } from 'node:fs/promises';
import { DecoderConfig } from '#gpu-backend/model/config.ts';
import { DEMO } from '#lab/methods/recipe.ts';
import { shareSettings } from '#lab/world/generate.ts';
import { claimFolder } from '#training/run/claim-folder.ts';
import { assertTokensFit } from '#training/stages/assert-tokens-fit.ts';
import { openBase } from '#training/stages/base-model.ts';
import { runOf } from '#training/stages/folder-kinds.ts';
import { sftStage } from '#training/stages/sft.ts';
import { sourcesOfBase } from '#training/stages/sources-file.ts';
import { openTokenizer, readChatFiles, type TrainingTokenizer } from '#training/tokenizer/chat-files.ts';
import { corpusOf } from './corpus.ts';
import { folderOfBase, type RunFlags, type SampleFlags, samplesOf, withData, withRun, withSamples } from './flags.ts';
import { paceOf, SftStage } from './settings.ts';
import { stageCommand } from './stage-command.ts';
import { onBase, printSummary } from './summary.ts';

type SftFlags = RunFlags & SampleFlags & { data: string; tokenizer?: string; model?: string; from?: string };

export const sft = stageCommand<typeof SftStage, SftFlags>({
  name: 'sft',
  description: 'train the base model, from scratch or from another one',
  settings: SftStage,
  flags: (command) =>
    withData(withSamples(withRun(command)))
      .option('--tokenizer <dir>', 'folder made by the stage tokenizer; a bundle given as --from has its own')
      .option('--model <file>', "config.json in Hugging Face's format (default: that of --from, or the demo's)")
      .option('--from <dir>', 'start from the weights of a bundle, or of another run of this stage'),
  run: async (settings, flags) => {
    const out = claimFolder(flags.out, { kind: runOf('sft'), ...flags });
    const from = flags.from === undefined ? null : await openBase(folderOfBase(flags.from), flags.tokenizer);
    const tokenizer = from?.tokenizer ?? (await tokenizerOf(flags));
    const config = flags.model ? await readModel(flags.model) : (from?.config ?? DecoderConfig.parse(DEMO.config));
    assertTokensFit(config, tokenizer, { name: flags.model ?? flags.from ?? "the demo's config" });
    const { edition, world, realShare, wordDropout, openingTokens, openingWeight } = settings;
    const { keywordShare, jailbreakShare, multiTurnShare, seed, steps, tokensPerBatch, promptWeight } = settings;
    const shares = { jailbreakShare, multiTurnShare, keywordShare };
    const { resume, force, threads, checkpointEverySeconds, evalEvery, keep } = flags;
    const { corpus, heldOut, fileSettings } = await corpusOf(settings, flags);
    await sftStage({
      ...{ seed, tokensPerBatch, promptWeight, steps },
      ...paceOf(settings),
      opening: { tokens: openingTokens, weight: openingWeight },
      from: from && {
        ...{ name: from.dir, weights: await from.weights(), digest: from.digest },
        sources: await sourcesOfBase(from),
      },
      config,
      tokenizer,
      corpus,
      heldOut,
      corpusSettings: {
        edition,
        worldDialogues: world,
        realShare,
        wordDropout,
        ...shareSettings(shares),
        ...fileSettings,
      },
      out,
      resume,
      force,
      threads,
      checkpointEverySeconds,
      evalEvery,
      keep,
      samples: await samplesOf(flags),
    });
    const base = { base: out, tokenizer: flags.tokenizer ?? flags.from! };
    await printSummary('sft', out, `expert --role safety ${onBase(base)} --out SAFETY_RUN`);
  },
});

async function tokenizerOf({ tokenizer }: SftFlags): Promise<TrainingTokenizer> {
  if (tokenizer === undefined) {
    throw new Error('--tokenizer is missing: the folder of a tokenizer, unless --from is a bundle, which has its own');
  }
  return openTokenizer(await readChatFiles(tokenizer));
}

async function readModel(file: string): Promise<DecoderConfig> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new Error(`--model ${file}: the file cannot be read`, { cause });
  });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new Error(`--model ${file}: not JSON: ${(cause as Error).message}`, { cause });
  }
  const parsed = DecoderConfig.safeParse(json);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => [...path, message].join(': '));
  throw new Error(`--model ${file}: ${problems.join('; ')}`);
}
