/** `plimsoll train <stage>`: every stage as a command. */

import { readFile } from 'node:fs/promises';
import { Command, Option } from 'commander';
import { LlamaConfig } from '#gpu-backend/model/config.ts';
import { ExpertRole } from '#gpu-backend/model/manifest.ts';
import { classifierCommand } from './classifier/train.ts';
import { integer, number, share } from './cli-numbers.ts';
import { PREFERENCE_LAYOUTS } from './data/preferences.ts';
import { DEFAULT_DATA } from './demo/default-data.ts';
import { realShareCommand } from './demo/real-share-trial.ts';
import { DEMO } from './demo/recipe.ts';
import { trainDemo } from './demo/train-demo.ts';
import { dataCommand } from './download/cli.ts';
import { baseCorpus } from './stages/base-corpus.ts';
import { loadBaseModel } from './stages/base-model.ts';
import { expertStage, ROLE_DIMENSION } from './stages/expert.ts';
import { exportStage } from './stages/export.ts';
import { HELD_OUT_SHARE, preferenceData } from './stages/preference-data.ts';
import { sftStage } from './stages/sft.ts';
import { tokenizerStage } from './stages/tokenizer.ts';
import { openTokenizer, readChatFiles } from './tokenizer/chat-files.ts';

/** The demo's first phase: the defaults of the base's stages. */
const [FIRST] = DEMO.phases;

const withCorpus = (command: Command) =>
  command
    .option('--seed <n>', 'decides data, order and weights', integer, DEMO.seed)
    .option('--world <n>', 'dialogues of the small world', integer, FIRST.corpus.worldDialogues)
    .option('--real-share <x>', 'share of real conversations in the corpus', share, FIRST.corpus.realShare)
    .option('--data <dir>', 'folder with the real conversations', DEFAULT_DATA);
type CorpusFlags = { seed: number; world: number; realShare: number; data: string };
const corpusOf = ({ seed, world, realShare, data }: CorpusFlags) =>
  baseCorpus({ seed, worldDialogues: world, realShare, dataDir: data });

export function trainCommand(): Command {
  const train = new Command('train').description('train tokenizer, base model and experts');

  withCorpus(train.command('tokenizer').description('learn a byte-level BPE vocabulary on the base corpus'))
    .requiredOption('--out <dir>', 'where tokenizer.json goes')
    .option('--vocab <n>', 'tokens in all', integer, DEMO.config.vocab_size)
    .action(async (flags: CorpusFlags & { out: string; vocab: number }) => {
      const { texts } = await tokenizerStage({ corpus: await corpusOf(flags), out: flags.out, vocabSize: flags.vocab });
      console.log(`tokenizer: ${flags.vocab} tokens learned on ${texts} texts, in ${flags.out}`);
    });

  withCorpus(train.command('sft').description('train the base model from scratch'))
    .requiredOption('--tokenizer <dir>', 'folder made by the tokenizer stage')
    .requiredOption('--out <dir>', 'where checkpoints and metrics go')
    .option('--config <file>', "config.json in Hugging Face's words (default: the demo's)")
    .option('--from <dir>', 'start from the weights of another run of this stage')
    .option('--resume', 'go on from the newest checkpoint in --out', false)
    .option('--steps <n>', 'updates in all', integer, FIRST.sft.steps)
    .option('--horizon-steps <n>', 'where the cosine of the learning rate would end', integer, FIRST.sft.horizonSteps)
    .option('--cooldown-steps <n>', 'last updates, with the rate falling to a tenth', integer, FIRST.sft.cooldownSteps)
    .option('--tokens-per-batch <n>', 'tokens in one update', integer, FIRST.sft.tokensPerBatch)
    .option('--learning-rate <x>', 'peak of the schedule', number, FIRST.sft.learningRate)
    .option('--prompt-weight <x>', 'how much a token of the question counts', number, FIRST.sft.promptWeight)
    .option('--threads <n>', '0: all cores', integer, 0)
    .action(async (flags) => {
      const tokenizer = openTokenizer(await readChatFiles(flags.tokenizer));
      const config = LlamaConfig.parse(flags.config ? JSON.parse(await readFile(flags.config, 'utf8')) : DEMO.config);
      if (tokenizer.vocabSize > config.vocab_size) {
        throw new Error(`the tokenizer has ${tokenizer.vocabSize} tokens, the model only ${config.vocab_size}`);
      }
      const { world: worldDialogues, realShare, data: _data, ...settings } = flags;
      const from = flags.from ? { name: `${flags.from}`, weights: (await loadBaseModel(flags.from)).weights } : null;
      const corpus = await corpusOf(flags);
      await sftStage({
        ...settings,
        opening: FIRST.sft.opening,
        from,
        config,
        tokenizer,
        corpus,
        corpusSettings: { worldDialogues, realShare },
      });
    });

  train
    .command('expert')
    .description('train one LoRA expert on the frozen base by DPO')
    .addOption(new Option('--role <role>', 'which expert').choices(ExpertRole.options).makeOptionMandatory())
    .requiredOption('--base <dir>', 'run of the sft stage')
    .requiredOption('--tokenizer <dir>', 'folder made by the tokenizer stage')
    .requiredOption('--out <dir>', 'where checkpoints and metrics go')
    .option('--resume', 'go on from the newest checkpoint in --out', false)
    .option('--seed <n>', 'decides data, order and weights', integer, DEMO.seed)
    .option('--world-pairs <n>', 'pairs of the small world', integer, DEMO.worldPairs)
    .option('--pairs <layout:file...>', `more pairs; layouts: ${Object.keys(PREFERENCE_LAYOUTS).join(', ')}`)
    .option('--held-out <x>', 'share of the prompts of --pairs kept from training', share, HELD_OUT_SHARE)
    .option('--rank <n>', 'LoRA rank', integer, DEMO.expert.rank)
    .option('--alpha <x>', 'LoRA alpha; the scale is alpha / rank', number, DEMO.expert.alpha)
    .option('--beta <x>', "DPO's beta", number, DEMO.expert.beta)
    .option(
      '--nll-weight <x>',
      "weight of the chosen answers' own likelihood; 0: plain DPO",
      number,
      DEMO.expert.nllWeight,
    )
    .option('--learning-rate <x>', 'peak of the schedule', number, DEMO.expert.learningRate)
    .option('--pairs-per-batch <n>', 'pairs in one update', integer, DEMO.expert.pairsPerBatch)
    .option('--epochs <n>', 'times over the pairs', integer, DEMO.expert.epochs)
    .option('--threads <n>', '0: all cores', integer, 0)
    .action(async (flags) => {
      const { worldPairs, pairs: names = [], heldOut: heldOutShare, ...rest } = flags;
      const { base: baseDir, tokenizer: tokenizerDir, ...settings } = rest;
      const tokenizer = openTokenizer(await readChatFiles(tokenizerDir));
      const base = await loadBaseModel(baseDir);
      const dimension = ROLE_DIMENSION[settings.role as ExpertRole];
      const dataOptions = { seed: settings.seed, worldPairs, files: names, dimension, heldOutShare };
      const pairs = await preferenceData(dataOptions);
      const dataSettings = { worldPairs, files: names, ...(names.length > 0 && { heldOutShare }) };
      await expertStage({ ...settings, ...pairs, tokenizer, base, dataSettings });
    });

  train
    .command('export')
    .description('write base, tokenizer and experts as one bundle')
    .requiredOption('--base <dir>', 'run of the sft stage')
    .requiredOption('--tokenizer <dir>', 'folder made by the tokenizer stage')
    .option('--experts <dirs...>', 'runs of the expert stage (default: none, the base under both roles)')
    .requiredOption('--out <dir>', 'the bundle')
    .requiredOption('--id <model>', 'the model id that clients name')
    .option('--licence <spdx>', 'licence of the weights', 'Apache-2.0')
    .option('--default-weight <x>', 'safety weight where there is no router', share, DEMO.defaultWeight)
    .action(async (flags) => {
      const { base, tokenizer, experts = 'base', out, id, licence, defaultWeight } = flags;
      const provenance = { description: `plimsoll train export of ${base}`, data: [] };
      const manifest = { id, licence, default_weight: defaultWeight, provenance };
      console.log(`${out}: ${await exportStage({ base, tokenizer, experts, out, manifest })}`);
    });

  train
    .command('demo')
    .description('the demo bundle from its seed: every stage, evaluation and model card; resumable')
    .option('--runs <dir>', 'checkpoints and metrics', 'runs/demo')
    .option('--out <dir>', 'the bundle', 'models/demo')
    .option('--data <dir>', 'folder with the real conversations', DEFAULT_DATA)
    .option('--threads <n>', '0: all cores', integer, 0)
    .action(trainDemo);

  return train.addCommand(dataCommand()).addCommand(realShareCommand()).addCommand(classifierCommand());
}
