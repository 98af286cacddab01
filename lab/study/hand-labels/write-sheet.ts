/**
 * A sheet of answers for somebody to read and label, blind: it holds prompts and answers, and
 * nothing about who gave them. The key that says so is another file, for after the labelling.
 *
 * Every set gives equally many answers, and so does every method of a set, as far as they go round.
 * The order is shuffled, and an id only counts the places in it.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import { createRandom } from '#training/data/random.ts';
import { replaceFile } from '#training/run/write-file.ts';
import type { AnsweredCell } from '../cells/grid.ts';
import { isBlank, isPolicyRefusal, judgedText } from '../cells/judge-cells.ts';
import { FILES, type KeyRow, type SheetRow } from './labels.ts';

type SheetOptions = {
  /** The folder for sheet and key. */
  dir: string;
  /** How many answers. */
  count: number;
  seed: number;
};

/** The questions are those of the answers, in the same order. */
export type SheetCell = Pick<AnsweredCell, 'seed' | 'depth' | 'begun'> & {
  answers: readonly Pick<AnsweredCell['answers'][number], 'question' | 'text' | 'tokens'>[];
  method: Pick<AnsweredCell['method'], 'id'>;
  set: Pick<AnsweredCell['set'], 'id' | 'questions'>;
};

/**
 * Returns how many answers are on it. Throws if `dir` holds labels: they would be for other
 * answers.
 */
export function writeSheet(cells: readonly SheetCell[], { dir, count, seed }: SheetOptions): number {
  const labels = path.join(dir, FILES.labels);
  if (existsSync(labels)) throw new Error(`${labels}: found labels, which are for another sheet; move them away first`);
  const { sheet, key } = drawSheet(cells, { count, seed });
  const lines = (rows: readonly object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  makeFolder(dir);
  replaceFile(path.join(dir, FILES.key), lines(key));
  replaceFile(path.join(dir, FILES.sheet), lines(sheet));
  return sheet.length;
}

/** SHA-256 of an answer's text, in hex. */
export const answerDigest = (text: string): string => createHash('sha256').update(text).digest('hex');

export function drawSheet(
  cells: readonly SheetCell[],
  { count, seed }: Pick<SheetOptions, 'count' | 'seed'>,
): { sheet: SheetRow[]; key: KeyRow[] } {
  const random = createRandom(`${seed}/hand-labels`);
  const drawn = new Map<string, Drawable>();
  // Two methods may give the same answer. Reading it twice would tell nothing new.
  const isNew = (card: Drawable) => !drawn.has(wordsOf(card));
  /** For each set, a deck of cards of each method. The methods take turns. */
  const sets = [...Map.groupBy(cells.flatMap(drawable), ({ row }) => row.set).values()].map((cards) =>
    random.shuffle([...Map.groupBy(cards, ({ row }) => row.method).values()]).map((deck) => random.shuffle(deck)),
  );
  while (drawn.size < count && sets.some((decks) => decks.some((deck) => deck.some(isNew)))) {
    for (const decks of sets) {
      const at = decks.findIndex((deck) => deck.some(isNew));
      if (at < 0 || drawn.size === count) continue;
      const card = decks[at]!.find(isNew)!;
      drawn.set(wordsOf(card), card);
      // The next method's turn; this one is last now.
      decks.push(...decks.splice(0, at + 1));
    }
  }
  const shuffled = random.shuffle([...drawn.values()]);
  const digits = String(shuffled.length).length;
  const idOf = (i: number) => String(i + 1).padStart(digits, '0');
  return {
    sheet: shuffled.map(({ prompt, begun, text }, i) => ({
      id: idOf(i),
      prompt,
      ...(begun !== '' && { begun }),
      answer: text,
    })),
    key: shuffled.map(({ row }, i) => ({ id: idOf(i), ...row })),
  };
}

const wordsOf = ({ prompt, begun, text }: Drawable) => JSON.stringify([prompt, begun, text]);

type Drawable = { row: Omit<KeyRow, 'id'>; prompt: SheetRow['prompt']; begun: string; text: string };

/**
 * The answers that judges read, by the text that they read. A policy's refusal would give its
 * method away, and a blank answer says nothing.
 */
function drawable({ method, set, seed, depth, begun, answers }: SheetCell): Drawable[] {
  return answers.flatMap((answer, i) => {
    const text = judgedText(begun[i]!, answer);
    if (isPolicyRefusal(answer) || isBlank(text)) return [];
    const row = { method: method.id, set: set.id, seed, depth, question: answer.question };
    return [
      {
        row: { ...row, answer: answerDigest(answer.text) },
        prompt: set.questions[i]!.messages,
        begun: begun[i]!,
        text,
      },
    ];
  });
}
