/**
 * The demo bundle from its seed: tokenizer, base, two experts, router, bundle, evaluation, model card. Every stage goes on from its last
 * checkpoint, so a stopped run is started again by the same command.
 */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { BUNDLE_FILES } from '#gpu-backend/model/bundle-files.ts';
import { evaluateBundle, evaluationTable } from '../evaluate/evaluate-bundle.ts';
import { trainRuns, withAllNeeds } from '../methods/runs.ts';
import { lastFigures } from '../run/last-figures.ts';
import { formatSeconds } from '../run/progress.ts';
import { baseCorpus, REAL_SOURCES } from '../stages/base-corpus.ts';
import { loadBaseModel } from '../stages/base-model.ts';
import { exportStage } from '../stages/export.ts';
import { type SftOptions, sftStage } from '../stages/sft.ts';
import { tokenizerStage } from '../stages/tokenizer.ts';
import { openTokenizer, readChatFiles } from '../tokenizer/chat-files.ts';
import { judgeBase } from './judge-base.ts';
import { type CardFigures, modelCard } from './model-card.ts';
import { DEMO } from './recipe.ts';

const PARTS = [...DEMO.parts.experts, ...DEMO.parts.routers];

export async function trainDemo({
  runs,
  out,
  data,
  threads,
}: {
  runs: string;
  out: string;
  data: string;
  threads: number;
}) {
  const dirOf = (name: string) => path.join(runs, name);
  const { seed, config, worldPairs } = DEMO;
  const tokenizerDir = dirOf('tokenizer');
  const corpus = await baseCorpus({ seed, ...DEMO.base.corpus, dataDir: data });
  if (!existsSync(path.join(tokenizerDir, BUNDLE_FILES.tokenizer))) {
    await tokenizerStage({ corpus, out: tokenizerDir, vocabSize: config.vocab_size });
  }
  const tokenizer = openTokenizer(await readChatFiles(tokenizerDir));
  const common = { resume: true, seed, tokenizer, threads };
  const firstDir = dirOf('sft-first');
  const corpusSettings = { ...DEMO.base.corpus };
  await sftStage({ ...common, ...DEMO.base.sft, config, corpus, corpusSettings, from: null, out: firstDir });
  const baseDir = dirOf('sft');
  await keywordRun({ ...common, config, data, first: firstDir, out: baseDir });
  const base = await loadBaseModel(baseDir, tokenizer);
  const context = { dir: runs, seed, edition: 'first', worldPairs, base, tokenizer, threads } as const;
  await trainRuns(PARTS, context);

  const manifest = {
    id: 'plimsoll-demo',
    licence: 'Apache-2.0',
    default_weight: DEMO.defaultWeight,
    provenance: {
      description: `npm run train:demo, seed ${seed}: ${DEMO.base.sft.steps} and ${DEMO.base.keywords.steps} steps of sft, then one LoRA expert a role by DPO with a tenth of MidPO's margins, and a router in the layers`,
      data: [
        { name: 'the small world (training/world)', licence: 'Apache-2.0' },
        ...REAL_SOURCES.filter(({ name }) => corpus.counts[name]).map(({ name, licence }) => ({ name, licence })),
      ],
    },
  };
  const experts = DEMO.parts.experts.map(dirOf);
  const routers = DEMO.parts.routers.map(dirOf);
  const digest = await exportStage({ base: baseDir, tokenizer: tokenizerDir, experts, routers, out, manifest });
  process.stderr.write(`${out}: bundle ${digest.slice(0, 12)}\n`);

  const options = { perAsk: 1, sampling: DEMO.evaluation, threads };
  const evaluation = await evaluateBundle({ ...options, dir: out, lines: DEMO.lines });
  const bare = await judgeBase({ ...options, base: baseDir, tokenizer: tokenizerDir });
  evaluation.sets = { base: bare, ...evaluation.sets };
  const metrics: CardFigures = {};
  for (const run of ['sft-first', 'sft', ...withAllNeeds(PARTS)]) {
    // D_dual is data: its run has no steps.
    if (run !== 'dual') metrics[run] = await lastFigures(dirOf(run));
  }
  await writeFile(
    path.join(out, 'evaluation.json'),
    `${JSON.stringify({ ...evaluation, training: metrics }, null, 2)}\n`,
  );
  await writeFile(path.join(out, 'README.md'), modelCard({ evaluation, metrics, corpus: corpus.counts, digest }));
  console.log(evaluationTable(evaluation.sets));
  const seconds = Object.values(metrics).reduce((sum, { seconds }) => sum + (seconds ?? 0), 0);
  console.log(`${formatSeconds(seconds)} of training steps; card: ${path.join(out, 'README.md')}`);
}

/** The base's second run: the same objective, many questions being nothing but keywords. */
async function keywordRun({
  first,
  data,
  ...options
}: Pick<SftOptions, 'resume' | 'seed' | 'tokenizer' | 'threads' | 'config' | 'out'> & { first: string; data: string }) {
  const { corpus: corpusSettings, ...schedule } = DEMO.base.keywords;
  // Dialogues that the first run has not seen.
  const seed = options.seed + 1;
  await sftStage({
    ...options,
    ...DEMO.base.sft,
    ...schedule,
    seed,
    corpus: await baseCorpus({ seed, ...corpusSettings, dataDir: data }),
    corpusSettings: { ...corpusSettings },
    from: { name: 'sft-first', weights: (await loadBaseModel(first, options.tokenizer)).weights },
  });
}
