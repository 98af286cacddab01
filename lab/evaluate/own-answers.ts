/** Answers a user's prompts under chosen lines, through the engine that serves. */
import type { Engine } from '#gpu-backend/engine/engine.ts';
import type { BundleHead } from '#gpu-backend/model/load-bundle.ts';
import { renderRows } from '#gpu-backend/model/render-rows.ts';
import type { Line } from '#shared/line/line.ts';
import type { Message } from '#shared/protocol/generate.ts';
import { appendLine } from '#training/run/write-file.ts';
import { type AnswerFigures, answerFigures } from './answer-figures.ts';
import { answerPrompts, type Sampling } from './answer-prompts.ts';
import { type AnswerRow, drawnOf, readAnswers } from './answers-file.ts';

export type OwnAnswersOptions = {
  engine: Engine;
  head: BundleHead;
  prompts: readonly Message[][];
  /** By name. */
  lines: Readonly<Record<string, Line>>;
  sampling: Sampling;
  /** Where the answers are appended to. Those that it has already are not drawn again. */
  file: string;
};

/**
 * Returns the figures of each line. Throws for a line whose mode the bundle does not offer, and if
 * the file has answers that these options would not draw.
 */
export async function answerOwnPrompts(options: OwnAnswersOptions): Promise<Record<string, AnswerFigures>> {
  const { engine, head, prompts, lines, sampling, file } = options;
  const { digest, modes } = engine.info;
  for (const [name, { mode }] of Object.entries(lines)) {
    if (modes.some((offered) => offered === mode)) continue;
    throw new Error(`--lines ${name}: found the mode ${mode}, this bundle offers ${modes.join(' and ')}`);
  }
  const rendered = prompts.map((messages) => renderRows(messages, head));
  const there = readAnswers(file);
  const wanted = Object.entries(lines).map(([name, line]) => {
    const rows = prompts.map((prompt, at) => ({
      at,
      prompt,
      name,
      line,
      drawn: drawnOf({ digest, at, prompt, line, sampling }),
    }));
    return { name, line, rows };
  });
  const known = new Set(wanted.flatMap(({ rows }) => rows.map(({ drawn }) => drawn)));
  const other = [...there.values()].find(({ drawn }) => !known.has(drawn));
  if (other !== undefined) {
    throw new Error(
      `${file}: found an answer under "${other.name}" to other prompts, or by another bundle, line or sampling: name another file, or --force draws all of them again`,
    );
  }
  const figures: Record<string, AnswerFigures> = {};
  for (const { name, line, rows } of wanted) {
    const missing = rows.filter(({ drawn }) => !there.has(drawn));
    const onAnswer = (
      i: number,
      { text, finishReason, tokens }: { text: string; finishReason: AnswerRow['finish']; tokens: readonly unknown[] },
    ) => {
      const row: AnswerRow = { ...missing[i]!, answer: text, finish: finishReason, tokens: tokens.length };
      there.set(row.drawn, row);
      appendLine(file, JSON.stringify(row));
    };
    const places = missing.map(({ at }) => at);
    const asked = places.map((at) => rendered[at]!);
    if (asked.length > 0) await answerPrompts(asked, { engine, line, sampling, label: name, places, onAnswer });
    figures[name] = answerFigures(rows.map(({ drawn }) => there.get(drawn)!));
  }
  return figures;
}
