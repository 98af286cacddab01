/**
 * The grid of the study: trains every method's runs, builds its bundle and answers every set. You
 * can stop and resume it at any point: a finished run or a file of answers is not made twice.
 * Whatever is left out of the full grid is listed in the results, never silently skipped.
 */
import '#gpu-backend/graph/no-telemetry.ts';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { bundleVocabulary } from '#gpu-backend/engine/bundle-vocabulary.ts';
import { OnnxExperts } from '#gpu-backend/engine/onnx-experts.ts';
import { startWorkerEngine } from '#gpu-backend/engine/worker-engine.ts';
import { withPrompt } from '#gpu-backend/model/expert-prompt.ts';
import { openBundle } from '#gpu-backend/model/load-bundle.ts';
import type { Message } from '#shared/protocol/generate.ts';
import { answerPrompts, type Sampling } from '../../evaluate/answer-prompts.ts';
import { type RunContext, type RunName, trainRuns, withAllNeeds } from '../../methods/runs.ts';
import { decodePrompts } from '../decoders/decode-prompts.ts';
import { attackPrefix, attackSet, type QuestionSet, type StudyQuestion } from '../questions/questions.ts';
import { type AnswerRecord, answerRecord, type MeasuredAnswer, readAnswers, writeAnswers } from '../results/answers.ts';
import { buildBundle } from './build-bundle.ts';
import { METHODS, type Method, runsOf } from './methods.ts';

export type GridOptions = {
  /**
   * One context per seed. Its folder, `context.dir`, holds the runs, the answers and the bundle.
   */
  contexts: readonly RunContext[];
  /** Folder of the tokenizer. */
  tokenizerDir: string;
  world: QuestionSet;
  /** Real prompts, which have no oracle. */
  real: readonly QuestionSet[];
  sampling: Sampling;
  /** Ids of methods. The default is all. */
  methods?: readonly string[] | undefined;
  /** False: train and generate nothing, only use what is there. */
  make: boolean;
};

export type AnsweredCell = {
  method: Method;
  set: QuestionSet;
  seed: number;
  depth: number;
  /**
   * The beginning that was forced on each answer. It is not part of the text, and it is empty if
   * there was no attack.
   */
  begun: readonly string[];
  answers: AnswerRecord[];
};

export type Grid = {
  cells: AnsweredCell[];
  /** Time spent on generating. */
  seconds: number;
  /** What was not there while `make` was false. */
  missing: string[];
};

/** Logs a line for every bundle, and the engine's own progress below it. */
export async function runGrid(options: GridOptions): Promise<Grid> {
  const methods = METHODS.filter(({ id }) => options.methods === undefined || options.methods.includes(id));
  const plan = options.contexts.flatMap((context, i) =>
    bundlesOf(methods.filter(({ headline }) => headline || i === 0)).map((group) => ({ context, group })),
  );
  const grid: Grid = { cells: [], seconds: 0, missing: [] };
  const finished = new Set<string>();
  let done = 0;
  for (const { context, group } of plan) {
    done++;
    const names = group.map(({ label }) => label).join(', ');
    process.stderr.write(`study: seed ${context.seed}, ${done} of ${plan.length} bundles: ${names}\n`);
    const runs = group.flatMap(runsOf);
    if (options.make) await trainRuns(runs, context, finished);
    const unmade = withAllNeeds(runs).filter((run) => !existsSync(path.join(context.dir, run)));
    if (unmade.length > 0) grid.missing.push(`seed ${context.seed}: ${names} (not trained: ${unmade.join(', ')})`);
    else await answerWith(group, context, options, grid);
  }
  return grid;
}

/**
 * Groups methods by the bundle that serves them. The bundle that serves the most methods comes
 * first, so that even a study cut short has it.
 */
function bundlesOf(methods: readonly Method[]): Method[][] {
  const groups = [...Map.groupBy(methods, ({ bundle }) => JSON.stringify(bundle)).values()];
  return groups.toSorted((a, b) => b.length - a.length);
}

async function answerWith(
  group: readonly Method[],
  context: RunContext,
  { tokenizerDir, world, real, sampling, make }: GridOptions,
  grid: Grid,
): Promise<void> {
  const { base, tokenizer, threads, seed } = context;
  const dirOf = (run: RunName) => path.join(context.dir, run);
  const dir = path.join(context.dir, 'study-bundle');
  const bundle = await buildBundle(group[0]!.bundle, { base, tokenizer: tokenizerDir, dirOf, out: dir });
  // The same question gets the same draw under every method, and another draw for another seed.
  const draws = { ...sampling, seed: sampling.seed + 10_000 * seed };
  let engine: Awaited<ReturnType<typeof startWorkerEngine>> | null = null;
  try {
    for (const method of group) {
      for (const { set, depth } of cellsOf(method, { world, real })) {
        const prefixes = set.questions.map((question) =>
          attackPrefix(question, { depth, tokenizer: tokenizer.tokenizer }),
        );
        const prompts = set.questions.map((question, i) => promptOf(question, prefixes[i]!, { method, tokenizer }));
        const line = method.decoder ? { decoder: method.decoder.name } : method.line;
        const origin = { bundle, line, sampling: draws, prompts: digestOf(prompts) };
        const file = path.join(context.dir, 'answers', `${method.id}@${set.id}-${depth}.jsonl`);
        let found = await readAnswers(file, origin);
        if (found === null && !make) {
          grid.missing.push(`seed ${seed}: ${method.label} on ${set.label}${depth > 0 ? `, depth ${depth}` : ''}`);
          continue;
        }
        if (found === null) {
          const startedAt = performance.now();
          const label = `${method.label}, ${set.label}${depth > 0 ? `, depth ${depth}` : ''}`;
          let answers: MeasuredAnswer[];
          if (method.decoder) answers = await decodeWith(method.decoder, prompts, { dir, threads, draws, label });
          else {
            engine ??= await startWorkerEngine({ dir, threads });
            answers = await answerPrompts(prompts, { engine, line: method.line, sampling: draws, label });
          }
          const seconds = (performance.now() - startedAt) / 1000;
          found = { answers: recordsOf(set.questions, answers), seconds };
          writeAnswers(file, { ...origin, seconds }, found.answers);
        }
        grid.seconds += found.seconds;
        const begun = prefixes.map((prefix) => tokenizer.tokenizer.decode(prefix));
        grid.cells.push({ method, set, seed, depth, begun, answers: found.answers });
      }
    }
  } finally {
    await engine?.close();
    await rm(dir, { recursive: true, force: true });
  }
}

function cellsOf(method: Method, { world, real }: Pick<GridOptions, 'world' | 'real'>) {
  if (!method.headline) return [{ set: world, depth: 0 }];
  const attack = attackSet(world);
  return [
    { set: world, depth: 0 },
    ...[attack, ...real].flatMap((set) => (set.depths ?? [0]).map((depth) => ({ set, depth }))),
  ];
}

type Prompt = { promptIds: number[]; rowPrompts?: Partial<Record<'safety' | 'helpfulness', number[]>> };

/** What the experts read: the question under the method's prompts, and the attack's beginning. */
function promptOf(
  { messages }: StudyQuestion,
  prefix: readonly number[],
  { method, tokenizer }: { method: Method; tokenizer: RunContext['tokenizer'] },
): Prompt {
  const render = (under: readonly Message[]) => [
    ...tokenizer.renderChat(under, { addGenerationPrompt: true }),
    ...prefix,
  ];
  const promptIds = render(method.system === undefined ? messages : withPrompt(messages, method.system));
  if (method.bundle.kind !== 'prompted') return { promptIds };
  const { safety, helpfulness } = method.bundle;
  return {
    promptIds,
    rowPrompts: {
      safety: render(withPrompt(messages, safety)),
      helpfulness: render(withPrompt(messages, helpfulness)),
    },
  };
}

/** Answers without the gate, in this thread. */
async function decodeWith(
  decoder: NonNullable<Method['decoder']>,
  prompts: readonly Prompt[],
  { dir, threads, draws, label }: { dir: string; threads: number; draws: Sampling; label: string },
): Promise<MeasuredAnswer[]> {
  const bundle = await openBundle(dir);
  const experts = await OnnxExperts.create(bundle, { threads });
  try {
    return await decodePrompts(
      prompts.map(({ promptIds }) => promptIds),
      {
        experts,
        vocabulary: bundleVocabulary(bundle),
        decoder: decoder.make(),
        sampling: draws,
        contextLength: bundle.config.max_position_embeddings,
        label,
      },
    );
  } finally {
    await experts.dispose();
  }
}

function recordsOf(questions: readonly StudyQuestion[], answers: readonly MeasuredAnswer[]): AnswerRecord[] {
  return questions.map(({ id }, i) => answerRecord(id, answers[i]!));
}

function digestOf(prompts: readonly Prompt[]): string {
  return createHash('sha256').update(JSON.stringify(prompts)).digest('hex');
}
