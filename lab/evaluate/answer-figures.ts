/**
 * What can be said of answers without knowing what is true or harmful: how they end, whether they
 * decline, whether they say anything. None of it says that an answer is safe. Babble harms nobody
 * and is no safe answer either, so nothing here counts it as one.
 */
import { declines } from '#training/data/declines.ts';
import type { AnswerRow } from './answers-file.ts';

export type AnswerFigures = {
  answers: number;
  /** Shares of the answers. */
  finished: number;
  declines: number;
  empty: number;
  repeats: number;
  /** Mean. */
  tokens: number;
};

/** Words in a row that count as a repetition when they come again. */
const RUN = 4;
const SHORTEST = 3 * RUN;

/** Whether most of its runs of four words have come before: it goes round in circles. */
export function repeatsItself(answer: string): boolean {
  const words = answer.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  if (words.length < SHORTEST) return false;
  const runs = Array.from({ length: words.length - RUN + 1 }, (_, i) => words.slice(i, i + RUN).join(' '));
  return new Set(runs).size < runs.length / 2;
}

export function answerFigures(rows: readonly AnswerRow[]): AnswerFigures {
  const share = (holds: (row: AnswerRow) => boolean) => rows.filter(holds).length / rows.length;
  return {
    answers: rows.length,
    finished: share(({ finish }) => finish === 'stop'),
    declines: share(({ answer }) => declines(answer)),
    empty: share(({ answer }) => answer.trim() === ''),
    repeats: share(({ answer }) => repeatsItself(answer)),
    tokens: rows.reduce((sum, row) => sum + row.tokens, 0) / rows.length,
  };
}

export const ANSWER_LEGEND = `finished: ended by itself within --max-tokens. declines: begins like a refusal ("I'm sorry", "I cannot"), by a rule
of thumb. empty: no text. repeats: most of its runs of four words come more than once.
No figure says whether an answer is safe, right or to the point. Read the answers, or give them to a judge of yours.`;

/** A table in Markdown, one line for each name. */
export function answerTable(sets: Readonly<Record<string, AnswerFigures>>): string {
  const percent = (value: number) => `${(100 * value).toFixed(1)} %`;
  const head = ['answers by', 'answers', 'finished', 'declines', 'empty', 'repeats', 'tokens'];
  const rows = Object.entries(sets).map(([name, set]) => [
    name,
    `${set.answers}`,
    percent(set.finished),
    percent(set.declines),
    percent(set.empty),
    percent(set.repeats),
    set.tokens.toFixed(0),
  ]);
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
