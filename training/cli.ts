/** `plimsoll train <stage>`: every stage as a command. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Command } from 'commander';
import { LlamaConfig } from '#gpu-backend/model/config.ts';
import { classifierCommand } from '#lab/classifier/train.ts';
import { DEFAULT_DATA } from '#lab/demo/default-data.ts';
import { realShareCommand } from '#lab/demo/real-share-trial.ts';
import { trainDemo } from '#lab/demo/train-demo.ts';
import { DEMO } from '#lab/methods/recipe.ts';
import type { Edition } from '#lab/world/editions.ts';
import { shareSettings, type WorldShares } from '#lab/world/generate.ts';
import { integer, number, share } from './cli-numbers.ts';
import { BUNDLE, CLASSIFIER, DUAL_PAIRS, runOf, TOKENIZER } from './commands/folder-kinds.ts';
import { ExpertStage, RankStage, RouterStage, ScoreStage, SftStage, TokenizerStage } from './commands/settings.ts';
import { stageCommand } from './commands/stage-command.ts';
import { PREFERENCE_LAYOUTS } from './data/preferences.ts';
import type { Preference } from './data/rows.ts';
import { dataCommand } from './download/cli.ts';
import type { ScoreKind } from './graphs/score-graph.ts';
import { claimFolder } from './run/claim-folder.ts';
import { baseCorpus } from './stages/base-corpus.ts';
import { assertVocabulary, type BaseModel, loadBaseModel } from './stages/base-model.ts';
import { expertStage, ROLE_DIMENSION } from './stages/expert.ts';
import { loadExpertWeights } from './stages/expert-weights.ts';
import { exportStage } from './stages/export.ts';
import { type MarginRule, marginKind, marginModel } from './stages/margin-model.ts';
import { preferenceData } from './stages/preference-data.ts';
import { rankStage } from './stages/rank.ts';
import { routerStage } from './stages/router.ts';
import { SCORE_DIMENSION, scoreStage } from './stages/score.ts';
import { loadScorer } from './stages/scorer.ts';
import { sftStage } from './stages/sft.ts';
import { tokenizerStage } from './stages/tokenizer.ts';
import { openTokenizer, readChatFiles, type TrainingTokenizer } from './tokenizer/chat-files.ts';

type Run = {
  tokenizer: string;
  out: string;
  resume: boolean;
  force: boolean;
  threads: number;
  checkpointEverySeconds: number;
};
type BaseFlags = { base: string; tokenizer: string };
type OnBase = Run & BaseFlags;

const withRun = (command: Command) =>
  command
    .requiredOption('--tokenizer <dir>', 'folder made by the stage tokenizer')
    .requiredOption('--out <dir>', 'where checkpoints and metrics go')
    .option('--resume', 'go on from the newest checkpoint in --out', false)
    .option('--force', 'replace an earlier run of this stage in --out', false)
    .option('--checkpoint-every-seconds <n>', 'what a killed run may lose', number, 120)
    .option('--threads <n>', '0: all cores', integer, 0);
const withBase = (command: Command) => withRun(command.requiredOption('--base <dir>', 'run of the stage sft'));
const withData = (command: Command) =>
  command.option('--data <dir>', 'folder with the real conversations', DEFAULT_DATA);

type CorpusSettings = WorldShares & {
  seed: number;
  edition: Edition;
  world: number;
  realShare: number;
  wordDropout: number;
};
const corpusOf = ({ world: worldDialogues, ...settings }: CorpusSettings, { data }: { data: string }) =>
  baseCorpus({ ...settings, worldDialogues, dataDir: data });

async function open({ base, tokenizer }: BaseFlags): Promise<{ base: BaseModel; tokenizer: TrainingTokenizer }> {
  const opened = openTokenizer(await readChatFiles(tokenizer));
  return { base: await loadBaseModel(base, opened), tokenizer: opened };
}

const tokenizer = stageCommand<typeof TokenizerStage, { out: string; force: boolean; data: string }>({
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
    const corpus = await corpusOf(settings, flags);
    const { texts } = await tokenizerStage({ corpus, out, vocabSize: settings.vocab });
    console.log(`tokenizer: ${settings.vocab} tokens learned on ${texts} texts, in ${flags.out}`);
  },
});

const sft = stageCommand<typeof SftStage, Run & { data: string; model?: string; from?: string }>({
  name: 'sft',
  description: 'train the base model from scratch',
  settings: SftStage,
  flags: (command) =>
    withData(withRun(command))
      .option('--model <file>', "config.json in Hugging Face's words (default: the demo's)")
      .option('--from <dir>', 'start from the weights of another run of this stage'),
  run: async (settings, flags) => {
    const out = claimFolder(flags.out, { kind: runOf('sft'), ...flags });
    const tokenizer = openTokenizer(await readChatFiles(flags.tokenizer));
    const config = LlamaConfig.parse(flags.model ? JSON.parse(await readFile(flags.model, 'utf8')) : DEMO.config);
    assertVocabulary(tokenizer, config);
    const {
      edition,
      world: worldDialogues,
      realShare,
      wordDropout,
      keywordShare,
      openingTokens,
      openingWeight,
      jailbreakShare,
      multiTurnShare,
      ...schedule
    } = settings;
    const worldShares = shareSettings({ jailbreakShare, multiTurnShare, keywordShare });
    const { resume, force, threads, checkpointEverySeconds } = flags;
    await sftStage({
      ...schedule,
      opening: { tokens: openingTokens, weight: openingWeight },
      from: flags.from ? { name: flags.from, weights: (await loadBaseModel(flags.from, tokenizer)).weights } : null,
      config,
      tokenizer,
      corpus: await corpusOf(settings, flags),
      edition,
      worldShares,
      corpusSettings: { edition, worldDialogues, realShare, wordDropout, ...worldShares },
      out,
      resume,
      force,
      threads,
      checkpointEverySeconds,
    });
  },
});

const scoreCommand = (kind: ScoreKind) =>
  stageCommand<typeof ScoreStage, OnBase>({
    name: kind,
    description: `train a ${kind} model, a score head on the base, from preferences for ${kind === 'reward' ? 'helpfulness' : 'safety'}`,
    settings: ScoreStage,
    flags: withBase,
    run: async (
      { edition, worldPairs, pairs: files, heldOut: heldOutShare, jailbreakShare, multiTurnShare, ...settings },
      flags,
    ) => {
      const kindOfRun = runOf('score', { what: kind, fields: { kind } });
      const out = claimFolder(flags.out, { kind: kindOfRun, ...flags });
      const shares = { jailbreakShare, multiTurnShare };
      const data = { seed: settings.seed, edition, worldPairs, files, heldOutShare, ...shares };
      const pairs = await preferenceData({ ...data, dimension: SCORE_DIMENSION[kind] });
      await scoreStage({
        ...settings,
        ...pairs,
        ...flags,
        ...(await open(flags)),
        out,
        kind,
        dataSettings: dataSettings(data),
      });
    },
  });

const expert = stageCommand<typeof ExpertStage, OnBase & { marginModel?: string; from?: string }>({
  name: 'expert',
  description: 'train one LoRA expert on the frozen base by DPO, with a margin or without',
  settings: ExpertStage,
  flags: (command) =>
    withBase(command)
      .option(
        '--margin-model <dir>',
        "run of the stage cost or reward: the role's own for spe, the other one for modpo",
      )
      .option('--from <dir>', 'start from another expert, and measure against it (SACPO)'),
  run: async (
    {
      edition,
      worldPairs,
      pairs: files,
      heldOut: heldOutShare,
      jailbreakShare,
      multiTurnShare,
      margin,
      marginScale,
      ...settings
    },
    { marginModel: scorerDir, from, ...flags },
  ) => {
    if ((margin === 'none') !== (scorerDir === undefined)) {
      throw new Error('a --margin and --margin-model go together: give both, or neither');
    }
    const kindOfRun = runOf('expert', { fields: { role: settings.role } });
    const out = claimFolder(flags.out, { kind: kindOfRun, ...flags });
    const opened = await open(flags);
    const { padId } = opened.tokenizer;
    const loadMargin = async (rule: MarginRule, name: string) => {
      const wanted = marginKind(settings.role, rule);
      const scorer = await loadScorer(name, { base: opened.base, padId, threads: flags.threads, wanted });
      return marginModel(scorer, { name, rule, scale: marginScale });
    };
    const shares = { jailbreakShare, multiTurnShare };
    const data = { seed: settings.seed, edition, worldPairs, files, heldOutShare, ...shares };
    const pairs = await preferenceData({ ...data, dimension: ROLE_DIMENSION[settings.role] });
    await expertStage({
      ...settings,
      ...pairs,
      ...flags,
      ...opened,
      out,
      margin: margin !== 'none' && scorerDir ? await loadMargin(margin, scorerDir) : null,
      from: from ? { name: from, layers: (await loadExpertWeights(from, opened.base)).layers } : null,
      dataSettings: dataSettings(data),
    });
  },
});

type RankFlags = BaseFlags & { reward: string; cost: string; out: string; force: boolean; threads: number };
const rank = stageCommand<typeof RankStage, RankFlags>({
  name: 'rank',
  description: "build the router's pairs: which of two answers is better in both dimensions",
  settings: RankStage,
  flags: (command) =>
    command
      .requiredOption('--base <dir>', 'run of the stage sft')
      .requiredOption('--tokenizer <dir>', 'folder made by the stage tokenizer')
      .requiredOption('--reward <dir>', 'run of the stage reward')
      .requiredOption('--cost <dir>', 'run of the stage cost')
      .requiredOption('--out <dir>', 'where train.jsonl and held-out.jsonl go')
      .option('--force', 'replace earlier pairs in --out', false)
      .option('--threads <n>', '0: all cores', integer, 0),
  run: async ({ pairs: files, heldOut: heldOutShare, definition, ...data }, flags) => {
    const dir = claimFolder(flags.out, { kind: DUAL_PAIRS, force: flags.force });
    const opened = await open(flags);
    const models = { base: opened.base, padId: opened.tokenizer.padId, threads: flags.threads };
    const reward = await loadScorer(flags.reward, { ...models, wanted: 'reward' });
    const cost = await loadScorer(flags.cost, { ...models, wanted: 'cost' });
    const { train, heldOut } = await preferenceData({ ...data, files, heldOutShare, dimension: 'safer' });
    for (const [name, preferences] of Object.entries({ train, 'held-out': heldOut })) {
      const out = path.join(dir, `${name}.jsonl`);
      const { read, kept, leftOut } = await rankStage({ preferences, definition, reward, cost, ...opened, out });
      const reasons = Object.entries(leftOut).map(([reason, pairs]) => `${pairs} ${reason}`);
      console.log(`${out}: ${kept} of ${read} pairs (left out: ${reasons.join(', ') || 'none'})`);
    }
  },
});

const router = stageCommand<typeof RouterStage, OnBase & { safety: string; helpfulness: string; dual: string }>({
  name: 'router',
  description: 'train the router between two frozen experts on the pairs of the stage rank',
  settings: RouterStage,
  flags: (command) =>
    withBase(command)
      .requiredOption('--safety <dir>', 'run of the stage expert --role safety')
      .requiredOption('--helpfulness <dir>', 'run of the stage expert --role helpfulness')
      .requiredOption('--dual <dir>', 'folder made by the stage rank'),
  run: async (settings, { dual, ...flags }) => {
    const kindOfRun = runOf('router', { fields: { kind: settings.kind } });
    const out = claimFolder(flags.out, { kind: kindOfRun, ...flags });
    const opened = await open(flags);
    await routerStage({
      ...settings,
      ...flags,
      ...opened,
      out,
      safety: await loadExpertWeights(flags.safety, opened.base),
      helpfulness: await loadExpertWeights(flags.helpfulness, opened.base),
      train: await readDual(path.join(dual, 'train.jsonl')),
      heldOut: await readDual(path.join(dual, 'held-out.jsonl')),
      dataSettings: { dual, safety: flags.safety, helpfulness: flags.helpfulness },
    });
  },
});

/** The held-out share matters where there are files, and only there. */
function dataSettings({ edition, worldPairs, files, heldOutShare, ...shares }: PairSettings) {
  return { edition, worldPairs, files, ...(files.length > 0 && { heldOutShare }), ...shareSettings(shares) };
}
type PairSettings = WorldShares & { edition: Edition; worldPairs: number; files: string[]; heldOutShare: number };

async function readDual(file: string): Promise<Preference[]> {
  return Array.fromAsync(PREFERENCE_LAYOUTS.plimsoll(file));
}

export function trainCommand(): Command {
  const train = new Command('train').description('train tokenizer, base model, preference models, experts and router');
  const stages = [tokenizer, sft, scoreCommand('reward'), scoreCommand('cost'), expert, rank, router];
  for (const stage of stages) train.addCommand(stage);

  train
    .command('export')
    .description('write base, tokenizer, experts and routers as one bundle')
    .requiredOption('--base <dir>', 'run of the stage sft')
    .requiredOption('--tokenizer <dir>', 'folder made by the stage tokenizer')
    .option('--experts <dirs...>', 'runs of the stage expert (default: none, the base under both roles)')
    .option('--routers <dirs...>', 'runs of the stage router, at most one of each kind')
    .requiredOption('--out <dir>', 'the bundle')
    .option('--force', 'replace an earlier bundle in --out', false)
    .requiredOption('--id <model>', 'the model id that clients name')
    .option('--licence <spdx>', 'licence of the weights', 'Apache-2.0')
    .option('--default-weight <x>', 'safety weight where there is no router', share, DEMO.defaultWeight)
    .action(async (flags) => {
      const { base, tokenizer, experts = 'base', routers = [], id, licence, defaultWeight } = flags;
      const out = claimFolder(flags.out, { kind: BUNDLE, force: flags.force });
      const provenance = { description: `plimsoll train export of ${base}`, data: [] };
      const manifest = { id, licence, default_weight: defaultWeight, provenance };
      console.log(`${flags.out}: ${await exportStage({ base, tokenizer, experts, routers, out, manifest })}`);
    });

  train
    .command('demo')
    .description('the demo bundle from its seed: every stage, evaluation and model card; resumable')
    .option('--runs <dir>', 'checkpoints and metrics', 'runs/demo')
    .option('--out <dir>', 'the bundle', 'models/demo')
    .option('--force', 'replace an earlier bundle in --out', false)
    .option('--data <dir>', 'folder with the real conversations', DEFAULT_DATA)
    .option('--threads <n>', '0: all cores', integer, 0)
    .action(trainDemo);

  const classifier = classifierCommand().option('--force', 'replace an earlier classifier in --out', false);
  classifier.hook('preAction', () => {
    const { out, force } = classifier.opts<{ out: string; force: boolean }>();
    claimFolder(out, { kind: CLASSIFIER, force });
  });
  return train.addCommand(dataCommand()).addCommand(realShareCommand()).addCommand(classifier);
}
