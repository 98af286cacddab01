/**
 * The answers to a user's prompts, one JSON object a line. They are appended as they come, so a
 * stopped run loses only those under way, and the same command with `--resume` goes on.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, truncateSync } from 'node:fs';
import * as z from 'zod';
import { FinishReason } from '#shared/api/chat-answer.ts';
import { Line } from '#shared/line/line.ts';
import { Message } from '#shared/protocol/generate.ts';

export const AnswerRow = z.strictObject({
  /** The prompt's place in its file, from 0. */
  at: z.int().min(0),
  prompt: z.array(Message).min(1),
  /** The name of the line, and the line. */
  name: z.string(),
  line: Line,
  answer: z.string(),
  finish: FinishReason,
  tokens: z.int().min(0),
  /** Tells apart answers of another bundle, prompt, line or sampling. */
  drawn: z.string(),
});
export type AnswerRow = z.infer<typeof AnswerRow>;

/** What `drawn` is for all that decides an answer. */
export function drawnOf(decides: object): string {
  return createHash('sha256').update(JSON.stringify(decides)).digest('hex').slice(0, 16);
}

/**
 * The answers that an earlier run has left, by `drawn`. A line that a kill cut short is removed
 * from the file. Throws, with file and line, for anything that is not such a row.
 */
export function readAnswers(file: string): Map<string, AnswerRow> {
  if (!existsSync(file)) return new Map();
  const bytes = readFileSync(file);
  const end = bytes.lastIndexOf(0x0a) + 1;
  const lines = bytes.toString('utf8', 0, end).split('\n').slice(0, -1);
  const rows = lines.map((line, i): AnswerRow => {
    try {
      return AnswerRow.parse(JSON.parse(line));
    } catch (cause) {
      throw new Error(`${file}:${i + 1}: found no answer of plimsoll eval, wanted only such: name another file`, {
        cause,
      });
    }
  });
  if (end < bytes.length) truncateSync(file, end);
  return new Map(rows.map((row) => [row.drawn, row]));
}
