/**
 * Two methods read side by side, blind: for each prompt an answer of each, in an order that a draw
 * decides, and a reader who says which one helps more. Where no judge of helpfulness beats length,
 * this is how two methods are compared.
 */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import type { Message } from '#shared/protocol/generate.ts';
import { createRandom } from '#training/data/random.ts';
import { replaceFile } from '#training/run/write-file.ts';
import { isBlank, isPolicyRefusal, judgedText } from '../cells/judge-cells.ts';
import { answerDigest, type SheetCell } from './write-sheet.ts';

export const PAIR_FILES = { sheet: 'pairs.jsonl', key: 'pairs-key.jsonl', labels: 'pairs-labels.jsonl' } as const;

type PairRow = {
  /** Says nothing about the methods. */
  id: string;
  prompt: readonly Message[];
  a: string;
  b: string;
};

const PairKey = z.strictObject({
  id: z.string(),
  /** The method of each answer. */
  a: z.string(),
  b: z.string(),
  set: z.string(),
  question: z.string(),
  /** SHA-256 of both answers' texts, in hex. */
  answers: z.tuple([z.string(), z.string()]),
});
type PairKey = z.infer<typeof PairKey>;

const PairLabel = z.strictObject({
  id: z.string(),
  /** Which answer helps more with what the prompt asks for. */
  better: z.enum(['a', 'b', 'same']),
  note: z.string(),
});

/**
 * Draws `count` questions of `set` that both methods answered in words of their own, and not in the
 * same ones. The answers are those of the first seed that both have.
 */
export function drawPairs(
  cells: readonly SheetCell[],
  { methods, set, count, seed }: { methods: readonly [string, string]; set: string; count: number; seed: number },
): { sheet: PairRow[]; key: PairKey[] } {
  const random = createRandom(`${seed}/pairs/${set}/${methods.join('/')}`);
  const of = (method: string, which?: number) =>
    cells.find((cell) => {
      return cell.method.id === method && cell.set.id === set && cell.depth === 0 && (which ?? cell.seed) === cell.seed;
    });
  const first = of(methods[0]);
  const second = of(methods[1], first?.seed);
  if (!first || !second) throw new Error(`found no answers of ${methods.join(' and ')} to ${set} with the same seed`);
  const textOf = (cell: SheetCell, question: string): string | null => {
    const at = cell.answers.findIndex((answer) => answer.question === question);
    const answer = cell.answers[at];
    if (answer === undefined || isPolicyRefusal(answer)) return null;
    const text = judgedText(cell.begun[at]!, answer);
    return isBlank(text) ? null : text;
  };
  const both = first.set.questions.flatMap(({ id, messages }) => {
    const [one, other] = [textOf(first, id), textOf(second, id)];
    return one === null || other === null || one === other ? [] : [{ id, messages, texts: [one, other] as const }];
  });
  const drawn = random.shuffle(both).slice(0, count);
  const digits = String(drawn.length).length;
  const rows = drawn.map(({ id: question, messages, texts }, i) => {
    const turned = random.pick([true, false]);
    const [a, b] = turned ? [1, 0] : [0, 1];
    const id = String(i + 1).padStart(digits, '0');
    const answers: PairKey['answers'] = [answerDigest(texts[a]!), answerDigest(texts[b]!)];
    return {
      row: { id, prompt: messages, a: texts[a]!, b: texts[b]! },
      key: { id, a: methods[a]!, b: methods[b]!, set, question, answers },
    };
  });
  return { sheet: rows.map(({ row }) => row), key: rows.map(({ key }) => key) };
}

/** Returns how many pairs were written. Throws if `dir` holds labels: they would be for others. */
export function writePairs(
  cells: readonly SheetCell[],
  { dir, ...options }: Parameters<typeof drawPairs>[1] & { dir: string },
): number {
  const labels = path.join(dir, PAIR_FILES.labels);
  if (existsSync(labels)) throw new Error(`${labels}: found labels, which are for other pairs; move them away first`);
  const { sheet, key } = drawPairs(cells, options);
  const lines = (rows: readonly object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  makeFolder(dir);
  replaceFile(path.join(dir, PAIR_FILES.key), lines(key));
  replaceFile(path.join(dir, PAIR_FILES.sheet), lines(sheet));
  return sheet.length;
}

export type PairsResult = {
  methods: readonly [string, string];
  set: string;
  /** How often each was the better one, and how often neither. */
  first: number;
  second: number;
  same: number;
  /**
   * Of the sign test, two-sided: as uneven a count, or more, if both were as good. Ties are left
   * out.
   */
  p: number;
};

/** null if nothing was labelled in `dir`. The first method is the first one in the alphabet. */
export function readPairs(dir: string = import.meta.dirname): PairsResult | null {
  const [keyFile, labelsFile] = [path.join(dir, PAIR_FILES.key), path.join(dir, PAIR_FILES.labels)];
  if (!existsSync(labelsFile)) return null;
  const key = new Map(rowsOf(keyFile, PairKey).map((row) => [row.id, row]));
  const counts = new Map<string, number>();
  let [same, set] = [0, ''];
  for (const { id, better } of rowsOf(labelsFile, PairLabel)) {
    const row = key.get(id);
    if (row === undefined) throw new Error(`${labelsFile}: found a label for ${id}, which ${keyFile} does not hold`);
    key.delete(id);
    set = row.set;
    for (const method of [row.a, row.b]) counts.set(method, counts.get(method) ?? 0);
    if (better === 'same') same++;
    else counts.set(row[better], counts.get(row[better])! + 1);
  }
  const [one, other, ...more] = [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
  if (!one || !other || more.length > 0) throw new Error(`${keyFile}: wanted pairs of the same two methods`);
  return {
    methods: [one[0], other[0]],
    set,
    first: one[1],
    second: other[1],
    same,
    p: signTest(one[1], other[1]),
  };
}

/** The exact two-sided binomial test at 1/2. 1 if there is nothing to compare. */
export function signTest(first: number, second: number): number {
  const n = first + second;
  let tail = 0;
  let term = 0.5 ** n;
  for (let k = 0; k <= Math.min(first, second); k++) {
    tail += term;
    term = (term * (n - k)) / (k + 1);
  }
  return Math.min(1, 2 * tail);
}

function rowsOf<T>(file: string, schema: z.ZodType<T>): T[] {
  return readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line, i) => {
      const parsed = schema.safeParse(JSON.parse(line));
      if (!parsed.success) throw new Error(`${file}:${i + 1}: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`);
      return parsed.data;
    });
}
