/**
 * The demo bundle from its seed: tokenizer, base, two experts, bundle, evaluation, model card. Every stage goes on from its last
 * checkpoint, so a stopped run is started again by the same command.
 */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { BUNDLE_FILES } from '#gpu-backend/model/bundle-files.ts';
import { evaluateBundle, evaluationTable } from '../evaluate/evaluate-bundle.ts';
import { need } from '../methods/runs.ts';
import { lastFigures } from '../run/last-figures.ts';
import { formatSeconds } from '../run/progress.ts';
import { baseCorpus, REAL_SOURCES } from '../stages/base-corpus.ts';
import { loadBaseModel } from '../stages/base-model.ts';
import { exportStage } from '../stages/export.ts';
import { sftStage } from '../stages/sft.ts';
import { tokenizerStage } from '../stages/tokenizer.ts';
import { openTokenizer, readChatFiles } from '../tokenizer/chat-files.ts';
import { judgeBase } from './judge-base.ts';
import { modelCard } from './model-card.ts';
import { DEMO } from './recipe.ts';

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
  const baseDir = dirOf('sft');
  const corpusSettings = { ...DEMO.base.corpus };
  await sftStage({ ...common, ...DEMO.base.sft, config, corpus, corpusSettings, from: null, out: baseDir });
  const base = await loadBaseModel(baseDir, tokenizer);
  const context = { dir: runs, seed, edition: 'first', worldPairs, base, tokenizer, threads } as const;
  const experts = [await need('dpo-safety', context), await need('dpo-helpfulness', context)];

  const manifest = {
    id: 'plimsoll-demo',
    licence: 'Apache-2.0',
    default_weight: DEMO.defaultWeight,
    provenance: {
      description: `npm run train:demo, seed ${seed}: ${DEMO.base.sft.steps} steps of sft, then one LoRA expert a role by DPO`,
      data: [
        { name: 'the small world (training/world)', licence: 'Apache-2.0' },
        ...REAL_SOURCES.filter(({ name }) => corpus.counts[name]).map(({ name, licence }) => ({ name, licence })),
      ],
    },
  };
  const digest = await exportStage({ base: baseDir, tokenizer: tokenizerDir, experts, out, manifest });
  process.stderr.write(`${out}: bundle ${digest.slice(0, 12)}\n`);

  const options = { perAsk: 1, sampling: DEMO.evaluation, threads };
  const evaluation = await evaluateBundle({ ...options, dir: out, lines: DEMO.lines });
  const bare = await judgeBase({ ...options, base: baseDir, tokenizer: tokenizerDir });
  evaluation.sets = { base: bare, ...evaluation.sets };
  const metrics = {
    sft: await lastFigures(baseDir),
    safety: await lastFigures(experts[0]!),
    helpfulness: await lastFigures(experts[1]!),
  };
  await writeFile(
    path.join(out, 'evaluation.json'),
    `${JSON.stringify({ ...evaluation, training: metrics }, null, 2)}\n`,
  );
  await writeFile(path.join(out, 'README.md'), modelCard({ evaluation, metrics, corpus: corpus.counts, digest }));
  console.log(evaluationTable(evaluation.sets));
  const seconds = Object.values(metrics).reduce((sum, { seconds }) => sum + (seconds ?? 0), 0);
  console.log(`${formatSeconds(seconds)} of training steps; card: ${path.join(out, 'README.md')}`);
}
