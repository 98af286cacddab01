import { claimFolder } from '#training/run/claim-folder.ts';
import { TOKENIZER } from '#training/stages/folder-kinds.ts';
import { tokenizerStage } from '#training/stages/tokenizer.ts';
import { corpusOf } from './corpus.ts';
import { withData } from './flags.ts';
import { TokenizerStage } from './settings.ts';
import { stageCommand } from './stage-command.ts';

export const tokenizer = stageCommand<typeof TokenizerStage, { out: string; force: boolean; data: string }>({
  name: 'tokenizer',
  description: 'learn a byte-level BPE vocabulary on the base corpus',
  settings: TokenizerStage,
  flags: (command) =>
    withData(command.requiredOption('--out <dir>', 'where tokenizer.json goes')).option(
      '--force',
      'replace an earlier tokenizer in --out',
      false,
    ),
  run: async (settings, flags) => {
    const out = claimFolder(flags.out, { kind: TOKENIZER, force: flags.force });
    const { corpus } = await corpusOf(settings, flags);
    const { texts } = await tokenizerStage({ corpus, out, vocabSize: settings.vocab });
    console.log(`tokenizer: ${settings.vocab} tokens learned on ${texts} texts, in ${flags.out}`);
  },
});
