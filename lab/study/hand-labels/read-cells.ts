/** A study's answers, read from its folder alone: for a sheet, no method has to be known. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import type { TrainingTokenizer } from '#training/tokenizer/chat-files.ts';
import { attackPrefix, type QuestionSet, type StudyQuestion } from '../questions/questions.ts';
import type { SheetCell } from './write-sheet.ts';

/** What a sheet needs of an answer. */
const Answer = z.object({ question: z.string(), text: z.string(), tokens: z.int().min(0) });

/** `base@ordinary-0.jsonl`: method, set, depth of the attack. */
const FILE = /^(?<method>.+)@(?<set>.+)-(?<depth>\d+)\.jsonl$/;

/**
 * Reads `seed-*\/answers` of a study's folder.
 *
 * @param sets where the questions are looked up. A set may come more than once.
 * @throws Error if there are no answers, or if one is to a question that `sets` do not hold
 */
export function readCells(
  dir: string,
  {
    sets,
    tokenizer,
  }: { sets: readonly QuestionSet[]; tokenizer: Pick<TrainingTokenizer['tokenizer'], 'encode' | 'decode'> },
): SheetCell[] {
  const known = new Map<string, Map<string, StudyQuestion>>();
  for (const { id, questions } of sets) {
    const own = known.get(id) ?? new Map<string, StudyQuestion>();
    for (const question of questions) own.set(question.id, question);
    known.set(id, own);
  }
  const cells = foldersOf(dir).flatMap(({ answers, seed }) =>
    readdirSync(answers)
      .toSorted()
      .flatMap((name): SheetCell[] => {
        const { method, set, depth: digits } = FILE.exec(name)?.groups ?? {};
        if (method === undefined || set === undefined) return [];
        const file = path.join(answers, name);
        const depth = Number(digits);
        const rows = readRows(file);
        const questions = rows.map(({ question: id }, i) => {
          const question = known.get(set)?.get(id);
          if (question) return question;
          throw new Error(
            `${file}:${i + 2}: question: found ${id}, wanted one of the set ${set}; --data and --held-out-topics must be those of the study`,
          );
        });
        const begun = questions.map((question) => tokenizer.decode(attackPrefix(question, { depth, tokenizer })));
        return [{ method: { id: method }, set: { id: set, questions }, seed, depth, begun, answers: rows }];
      }),
  );
  if (cells.length === 0) throw new Error(`${dir}: found no answers of a study, wanted seed-*/answers/*.jsonl`);
  return cells;
}

function foldersOf(dir: string): { answers: string; seed: number }[] {
  if (!existsSync(dir)) return [];
  return readdirSync(dir)
    .filter((name) => /^seed-\d+$/.test(name))
    .toSorted()
    .map((name) => ({ answers: path.join(dir, name, 'answers'), seed: Number(name.slice('seed-'.length)) }))
    .filter(({ answers }) => existsSync(answers));
}

/** Without the first line, which says what the answers were made from. */
function readRows(file: string): z.infer<typeof Answer>[] {
  const [, ...lines] = readFileSync(file, 'utf8').trimEnd().split('\n');
  return lines.map((line, i) => {
    const parsed = Answer.safeParse(jsonOf(line));
    if (!parsed.success) throw new Error(`${file}:${i + 2}: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`);
    return parsed.data;
  });
}

/** undefined, which no schema takes, for what is not JSON. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
