import { readFile } from 'node:fs/promises';
import { DecoderConfig } from '#gpu-backend/model/config.ts';
import { DEMO } from '#lab/methods/recipe.ts';
import { shareSettings } from '#lab/world/generate.ts';
import { heldOutDialogues } from '#lab/world/training-data.ts';
import { claimFolder } from '#training/run/claim-folder.ts';
import { assertVocabulary, loadBaseModel } from '#training/stages/base-model.ts';
import { runOf } from '#training/stages/folder-kinds.ts';
import { sftStage } from '#training/stages/sft.ts';
import { openTokenizer, readChatFiles } from '#training/tokenizer/chat-files.ts';
import { corpusOf } from './corpus.ts';
import { type RunFlags, withData, withRun } from './flags.ts';
import { SftStage } from './settings.ts';
import { stageCommand } from './stage-command.ts';

export const sft = stageCommand<typeof SftStage, RunFlags & { data: string; model?: string; from?: string }>({
  name: 'sft',
  description: 'train the base model from scratch',
  settings: SftStage,
  flags: (command) =>
    withData(withRun(command))
      .option('--model <file>', "config.json in Hugging Face's format (default: the demo's)")
      .option('--from <dir>', 'start from the weights of another run of this stage'),
  run: async (settings, flags) => {
    const out = claimFolder(flags.out, { kind: runOf('sft'), ...flags });
    const tokenizer = openTokenizer(await readChatFiles(flags.tokenizer));
    const config = DecoderConfig.parse(flags.model ? JSON.parse(await readFile(flags.model, 'utf8')) : DEMO.config);
    assertVocabulary(tokenizer, config);
    const { edition, world, realShare, wordDropout, openingTokens, openingWeight, ...others } = settings;
    const { keywordShare, jailbreakShare, multiTurnShare, ...schedule } = others;
    const shares = { jailbreakShare, multiTurnShare, keywordShare };
    const { resume, force, threads, checkpointEverySeconds } = flags;
    await sftStage({
      ...schedule,
      opening: { tokens: openingTokens, weight: openingWeight },
      from: flags.from ? { name: flags.from, weights: (await loadBaseModel(flags.from, tokenizer)).weights } : null,
      config,
      tokenizer,
      corpus: await corpusOf(settings, flags),
      heldOut: heldOutDialogues({ seed: settings.seed, edition, ...shares }),
      corpusSettings: { edition, worldDialogues: world, realShare, wordDropout, ...shareSettings(shares) },
      out,
      resume,
      force,
      threads,
      checkpointEverySeconds,
    });
  },
});
