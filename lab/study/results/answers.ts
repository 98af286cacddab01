/**
 * Answers of one cell of the grid, kept as JSON Lines. Generating is the expensive part, so we keep
 * the answers and only judge them again each time. A file's first line says what it was made from.
 * If that has changed, the file is made again.
 */

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import type { FinishReason } from '#shared/api/chat-answer.ts';
import type { TokenFrame } from '#shared/protocol/generate.ts';
import { replaceFile } from '#training/run/write-file.ts';

/** How many of an answer's weights we keep: as many as the report draws. */
const KEPT_WEIGHTS = 64;

const AnswerRecord = z.strictObject({
  question: z.string(),
  text: z.string(),
  tokens: z.int().min(0),
  finished: z.boolean(),
  /** Safety weight of each token, at most the first 64, rounded to four places. */
  weights: z.array(z.number()),
  weight: z.number().nullable(),
  /**
   * Mean of log p - log p_expert in nats, over the tokens that the expert gives any probability;
   * null if there is none.
   */
  safetyKl: z.number().nullable(),
  helpfulnessKl: z.number().nullable(),
  spent: z.number().nullable(),
});
export type AnswerRecord = z.infer<typeof AnswerRecord>;

type MeasuredToken = Pick<TokenFrame, 'weight' | 'lp' | 'lp_s' | 'lp_h' | 'spent'>;
/** An answer, whoever decoded it. */
export type MeasuredAnswer = { text: string; tokens: MeasuredToken[]; finishReason: FinishReason };

export function answerRecord(question: string, { text, tokens, finishReason }: MeasuredAnswer): AnswerRecord {
  const weights = tokens.map(({ weight }) => weight);
  return {
    question,
    text,
    tokens: tokens.length,
    finished: finishReason === 'stop',
    weights: weights.slice(0, KEPT_WEIGHTS).map((weight) => Number(weight.toFixed(4))),
    weight: mean(weights),
    safetyKl: mean(logRatios(tokens, 'lp_s')),
    helpfulnessKl: mean(logRatios(tokens, 'lp_h')),
    spent: tokens.at(-1)?.spent ?? null,
  };
}

function logRatios(tokens: readonly MeasuredToken[], expert: 'lp_s' | 'lp_h'): number[] {
  return tokens.flatMap((token) => (token.lp === null || token[expert] === null ? [] : token.lp - token[expert]));
}

function mean(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((a, b) => a + b, 0) / values.length;
}

/** What a file of answers was made from. */
export type Origin = { bundle: string; line: object; sampling: object; prompts: string; seconds: number };

/**
 * null if there is no such file, if it has another origin (`seconds` does not count), or if it is
 * broken. With `keeps`, another origin is an error: these answers are not to be replaced.
 */
export async function readAnswers(
  file: string,
  origin: Omit<Origin, 'seconds'>,
  { keeps = false }: { keeps?: boolean } = {},
): Promise<{ answers: AnswerRecord[]; seconds: number } | null> {
  const text = await readFile(file, 'utf8').catch(() => null);
  if (text === null) return null;
  let other: string | undefined;
  try {
    const [head, ...rows] = text.trimEnd().split('\n');
    const { seconds, ...found } = JSON.parse(head!) as Origin;
    // Object.keys widens the keys of a closed record to string.
    other = (Object.keys(origin) as (keyof typeof origin)[]).find(
      (key) => JSON.stringify(found[key]) !== JSON.stringify(origin[key]),
    );
    if (other === undefined) return { answers: rows.map((row) => AnswerRecord.parse(JSON.parse(row))), seconds };
  } catch {
    return null;
  }
  if (!keeps) return null;
  throw new Error(
    `${file}: found answers of another ${other}, wanted those of this study: answers to test questions are made once; --answer-again makes them again`,
  );
}

/** Writes the whole file or nothing. */
export function writeAnswers(file: string, origin: Origin, answers: readonly AnswerRecord[]): void {
  makeFolder(path.dirname(file));
  const { seconds, ...rest } = origin;
  const lines = [{ ...rest, seconds }, ...answers].map((row) => JSON.stringify(row));
  replaceFile(file, `${lines.join('\n')}\n`);
}
