/**
 * Makes the demo bundle from its seed: tokenizer, base, two experts, routers, bundle, evaluation,
 * model card. Every stage continues from its last checkpoint, so the same command resumes a stopped
 * run.
 */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { BUNDLE_FILES } from '#gpu-backend/model/bundle-files.ts';
import { claimFolder } from '#training/run/claim-folder.ts';
import { lastFigures } from '#training/run/last-figures.ts';
import { formatSeconds } from '#training/run/progress.ts';
import { baseCorpus, REAL_SOURCES } from '#training/stages/base-corpus.ts';
import { loadBaseModel } from '#training/stages/base-model.ts';
import { exportStage } from '#training/stages/export.ts';
import { sftStage } from '#training/stages/sft.ts';
import { tokenizerStage } from '#training/stages/tokenizer.ts';
import { openTokenizer, readChatFiles } from '#training/tokenizer/chat-files.ts';
import { evaluateBundle, evaluationTable } from '../evaluate/evaluate-bundle.ts';
import { DEMO } from '../methods/recipe.ts';
import { trainRuns, withAllNeeds } from '../methods/runs.ts';
import { worldSource } from '../methods/world-source.ts';
import { heldOutDialogues, worldDialogues } from '../world/training-data.ts';
import { DEMO_BUNDLE, DEMO_RUNS } from './folder-kinds.ts';
import { judgeBase } from './judge-base.ts';
import { type CardFigures, modelCard } from './model-card.ts';

const PARTS = [...DEMO.parts.experts, ...DEMO.parts.routers];

export async function trainDemo({
  data,
  threads,
  force,
  ...flags
}: {
  runs: string;
  out: string;
  data: string;
  threads: number;
  force: boolean;
}) {
  const out = claimFolder(flags.out, { kind: DEMO_BUNDLE, force });
  const runs = claimFolder(flags.runs, { kind: DEMO_RUNS, resume: true });
  const dirOf = (name: string) => path.join(runs, name);
  const { seed, config, edition, pairs } = DEMO;
  const tokenizerDir = dirOf('tokenizer');
  const corpora = await Promise.all(DEMO.base.runs.map((_, i) => corpusOf(i, data)));
  if (!existsSync(path.join(tokenizerDir, BUNDLE_FILES.tokenizer))) {
    await tokenizerStage({ corpus: corpora[0]!.corpus, out: tokenizerDir, vocabSize: config.vocab_size });
  }
  const tokenizer = openTokenizer(await readChatFiles(tokenizerDir));
  const common = { resume: true, seed, tokenizer, threads };
  const startFrom = async (name: string) => {
    const { weights, digest } = await loadBaseModel(dirOf(name), tokenizer);
    return { name, weights: await weights(), digest };
  };
  for (const [i, { name, shares, steps, learningRate }] of DEMO.base.runs.entries()) {
    const { corpus, settings } = corpora[i]!;
    const before = DEMO.base.runs[i - 1]?.name;
    await sftStage({
      ...common,
      ...DEMO.base.sft,
      steps,
      learningRate,
      seed: settings.seed,
      config,
      from: before ? await startFrom(before) : null,
      heldOut: heldOutDialogues({ seed: settings.seed, edition, ...shares }),
      corpus,
      corpusSettings: settings,
      out: dirOf(name),
    });
  }
  const baseDir = dirOf(DEMO.base.runs.at(-1)!.name);
  const base = await loadBaseModel(baseDir, tokenizer);
  const { count: worldPairs, ...compared } = pairs;
  const source = worldSource({ seed, edition, worldPairs, ...compared });
  const context = { dir: runs, seed, source, base, tokenizer, threads };
  await trainRuns(PARTS, context);

  const manifest = {
    id: 'plimsoll-demo',
    licence: 'Apache-2.0',
    default_weight: DEMO.defaultWeight,
    provenance: {
      description: `npm run train:demo, seed ${seed}: ${DEMO.base.runs.map(({ steps }) => steps).join(' and ')} steps of sft, then one LoRA expert a role by DPO with a tenth of MidPO's margins, a router in the layers and one over the logits`,
      data: [
        { name: 'the small world (lab/world)', licence: 'Apache-2.0' },
        ...REAL_SOURCES.filter(({ name }) => corpora.some(({ corpus }) => corpus.counts[name])).map(
          ({ name, licence }) => ({ name, licence }),
        ),
      ],
    },
  };
  const experts = DEMO.parts.experts.map(dirOf);
  const routers = DEMO.parts.routers.map(dirOf);
  const digest = await exportStage({ base: baseDir, tokenizer: tokenizerDir, experts, routers, out, manifest });
  process.stderr.write(`${out}: bundle ${digest.slice(0, 12)}\n`);

  const options = { perAsk: DEMO.perAsk, sampling: DEMO.evaluation, edition, threads };
  const evaluation = await evaluateBundle({ ...options, dir: out, lines: DEMO.lines });
  const bare = await judgeBase({ ...options, base: baseDir, tokenizer: tokenizerDir });
  evaluation.sets = { base: bare, ...evaluation.sets };
  const metrics: CardFigures = {};
  for (const run of [...DEMO.base.runs.map(({ name }) => name), ...withAllNeeds(PARTS)]) {
    // D_dual is data: its run has no steps.
    if (run !== 'dual') metrics[run] = await lastFigures(dirOf(run));
  }
  await writeFile(
    path.join(out, 'evaluation.json'),
    `${JSON.stringify({ ...evaluation, training: metrics }, null, 2)}\n`,
  );
  await writeFile(
    path.join(out, 'README.md'),
    modelCard({ evaluation, metrics, corpora: corpora.map(({ corpus }) => corpus.counts), digest }),
  );
  console.log(evaluationTable(evaluation.sets));
  const seconds = Object.values(metrics).reduce((sum, { seconds }) => sum + (seconds ?? 0), 0);
  console.log(`${formatSeconds(seconds)} of training steps; card: ${path.join(out, 'README.md')}`);
}

/**
 * What the i-th run of the base reads, and the settings that decided it. Each run has a seed of its
 * own, so that no two runs read the same dialogue.
 */
async function corpusOf(i: number, dataDir: string) {
  const { worldDialogues: count, shares } = DEMO.base.runs[i]!;
  const settings = {
    seed: DEMO.seed + i,
    edition: DEMO.edition,
    worldDialogues: count,
    ...DEMO.base.corpus,
    ...shares,
  };
  const { realShare, wordDropout, answerShares } = DEMO.base.corpus;
  const world = { seed: settings.seed, edition: DEMO.edition, count, answerShares, ...shares };
  const generated = worldDialogues(world);
  return { corpus: await baseCorpus({ seed: settings.seed, generated, realShare, wordDropout, dataDir }), settings };
}
