/**
 * The base's own answers: several to each prompt, drawn at a temperature through the engine that
 * serves. They are appended to a file as they come, so a stopped run loses only the few prompts
 * that were under way. A choice's random numbers depend on the seed, the prompt and the choice
 * alone. So a resumed run draws the same answers, up to the rounding of other batches.
 */
import '#gpu-backend/graph/no-telemetry.ts';
import { existsSync, readFileSync, truncateSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import type { Engine } from '#gpu-backend/engine/engine.ts';
import { startWorkerEngine } from '#gpu-backend/engine/worker-engine.ts';
import { type BundleHead, loadBundleHead } from '#gpu-backend/model/load-bundle.ts';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import { FinishReason } from '#shared/api/chat-answer.ts';
import { seedKey } from '#shared/gate/index.ts';
import type { Line } from '#shared/line/line.ts';
import { openingTurn } from '#training/data/prompt-key.ts';
import { createProgress } from '#training/run/progress.ts';
import { StoppedBySignal } from '#training/run/stopped-by-signal.ts';
import { appendLine, replaceFile } from '#training/run/write-file.ts';
import { HELPFULNESS_ALONE, SAFETY_ALONE } from '../evaluate/answer-prompts.ts';
import { textKey } from '../split/split.ts';
import { PromptRow } from './recipe-rows.ts';
import type { Settings } from './settings.ts';
import { digestOfJson } from './step-records.ts';

export const AnswersRow = PromptRow.extend({
  answers: z.array(z.strictObject({ text: z.string(), finish: FinishReason, tokens: z.int().min(0) })).min(1),
  /** Tells apart rows that were drawn from another base or in another way. */
  drawn: z.string(),
});
export type AnswersRow = z.infer<typeof AnswersRow>;

export type OwnAnswerOptions = {
  /** The base's bundle. */
  bundle: string;
  /** The base's digest. */
  base: string;
  prompts: readonly PromptRow[];
  sampling: Settings['answers'];
  seed: number;
  /** JSON Lines. In the end it has the prompts in their order. */
  file: string;
  threads: number;
};

/** Answers all prompts that the file has no answers to yet. */
export async function drawOwnAnswers(options: OwnAnswerOptions): Promise<void> {
  const { bundle, base, prompts, sampling, seed, file, threads } = options;
  const { perPrompt, temperature, topP, maxTokens } = sampling;
  const drawn = digestOfJson({ base, seed, perPrompt, temperature, topP, maxTokens }).slice(0, 12);
  makeFolder(path.dirname(file));
  const rows = new Map(readWhole(file).map((row) => [nameOf(row), row]));
  const other = [...rows.values()].find((row) => row.drawn !== drawn);
  if (other !== undefined) {
    throw new Error(
      `${file}: found answers drawn from another base, seed or sampling (${other.drawn}), wanted ${drawn}: --redo answers draws them again`,
    );
  }
  const missing = prompts.filter((prompt) => !rows.has(nameOf(prompt)));
  if (missing.length > 0) {
    const head = await loadBundleHead(bundle);
    const line = bareLine(head, bundle);
    const limits = { maxRows: sampling.prompts * perPrompt };
    const engine = await startWorkerEngine({ dir: bundle, threads, limits });
    try {
      const onRow = (row: AnswersRow) => {
        rows.set(nameOf(row), row);
        // In one write, so that a kill leaves at most one line cut short.
        appendLine(file, JSON.stringify(row));
      };
      await answerAll(missing, { ...options, engine, head, line, drawn, done: prompts.length - missing.length, onRow });
    } finally {
      await engine.close();
    }
  }
  const ordered = prompts.map((prompt) => rows.get(nameOf(prompt))!);
  replaceFile(file, ordered.map((row) => `${JSON.stringify(row)}\n`).join(''));
}

/** Rows are told apart by the words of their prompts. */
function nameOf({ prompt }: PromptRow): string {
  return textKey(openingTurn(prompt));
}

/**
 * The line under which the bare base answers: a role without an adapter. Its system prompt, if it
 * has one, is not read, because we ask with the client's tokens alone.
 */
function bareLine({ manifest }: BundleHead, dir: string): Line {
  const bare = manifest.experts.find(({ adapter }) => adapter === false);
  if (bare === undefined) {
    throw new Error(`${dir}: both experts have an adapter, wanted a bundle whose experts are the base`);
  }
  return bare.role === 'safety' ? SAFETY_ALONE : HELPFULNESS_ALONE;
}

async function answerAll(
  prompts: readonly PromptRow[],
  options: OwnAnswerOptions & {
    engine: Engine;
    head: BundleHead;
    line: Line;
    drawn: string;
    /** How many prompts have answers already. */
    done: number;
    onRow: (row: AnswersRow) => void;
  },
): Promise<void> {
  const { sampling, drawn, onRow } = options;
  let signalled: NodeJS.Signals | null = null;
  const onSignal = (signal: NodeJS.Signals) => {
    signalled = signal;
  };
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  const total = options.done + prompts.length;
  const progress = createProgress('own answers', { total, start: options.done, figure: 'nats a token' });
  const startedAt = performance.now();
  let [next, done, tokens, logprob] = [0, options.done, 0, 0];
  const worker = async () => {
    for (let i = next++; i < prompts.length && signalled === null; i = next++) {
      const prompt = prompts[i]!;
      const { answers, nats } = await answerOne(prompt, options);
      onRow({ ...prompt, answers, drawn });
      tokens += answers.reduce((sum, answer) => sum + answer.tokens, 0);
      logprob += nats;
      const tokensPerSecond = (1000 * tokens) / (performance.now() - startedAt);
      progress.update(++done, { figure: -logprob / Math.max(1, tokens), tokensPerSecond });
    }
  };
  try {
    await Promise.all(Array.from({ length: sampling.prompts }, worker));
  } finally {
    progress.stop();
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
  if (signalled !== null) {
    throw new StoppedBySignal(`own answers: ${signalled}: saved ${done} of ${total} prompts; the same command goes on`);
  }
}

async function answerOne(
  row: PromptRow,
  { engine, head, line, sampling, seed }: OwnAnswerOptions & { engine: Engine; head: BundleHead; line: Line },
): Promise<{ answers: AnswersRow['answers']; nats: number }> {
  const { perPrompt, temperature, topP, maxTokens } = sampling;
  const keys = Array.from({ length: perPrompt }, (_, choice) => seedKey(`${seed}/answers/${nameOf(row)}/${choice}`));
  const answers: AnswersRow['answers'] = keys.map(() => ({ text: '', finish: 'length', tokens: 0 }));
  let nats = 0;
  const request = {
    promptIds: head.renderChat(row.prompt),
    maxTokens,
    stop: [],
    sampling: { key: keys[0]!, temperature, topP },
    moreKeys: keys.slice(1),
    line,
  };
  for await (const event of engine.generate(request)) {
    if (event.type !== 'token' && event.type !== 'text' && event.type !== 'end') continue;
    const answer = answers[event.choice ?? 0]!;
    if (event.type === 'end') answer.finish = event.finish_reason;
    else answer.text += event.text;
    if (event.type !== 'token') continue;
    answer.tokens++;
    nats += event.lp ?? 0;
  }
  return { answers, nats };
}

/** A kill may have cut the last line short. It is removed from the file. */
function readWhole(file: string): AnswersRow[] {
  if (!existsSync(file)) return [];
  const bytes = readFileSync(file);
  const end = bytes.lastIndexOf(0x0a) + 1;
  if (end < bytes.length) truncateSync(file, end);
  return readAnswers(file, bytes.toString('utf8', 0, end));
}

/** Reads a file of whole rows. Errors name the file and the line. */
export function readAnswers(file: string, text = readFileSync(file, 'utf8')): AnswersRow[] {
  return text.split('\n').flatMap((line, i) => {
    if (line === '') return [];
    try {
      return [AnswersRow.parse(JSON.parse(line))];
    } catch (cause) {
      throw new Error(`${file}:${i + 1}: ${(cause as Error).message.replaceAll('\n', ' ')}`, { cause });
    }
  });
}
