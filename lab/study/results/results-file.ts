/**
 * The study's results as one compressed file, with every figure of every answer. It is kept in the
 * repository beside the report, and the report is made from it, so anyone can make it again.
 *
 * JSON Lines, gzipped. The first line is the head: everything but the answers. Then follows one
 * line for each set of questions, and one for each cell. A cell's figures are columns: the i-th
 * number is that of the i-th question named in `questions`, which counts in the set's line. Texts
 * of answers are not in it.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import * as z from 'zod';
import { replaceFile } from '#training/run/write-file.ts';
import { Registration } from './registration.ts';
import { type Cell, FIGURES, type JudgedAnswer, STUDY_KINDS, type StudyResults } from './results.ts';

export const RESULTS_FILE = 'results.jsonl.gz';

const Numbers = z.record(z.string(), z.number());
const Head = z.strictObject({
  format: z.literal(1),
  registration: Registration.nullable(),
  study: z.enum(STUDY_KINDS),
  shipped: z.string().nullable(),
  shippedFrom: z.string().optional(),
  methods: z.array(
    z.strictObject({
      id: z.string(),
      label: z.string(),
      family: z.enum(['reference', 'single', 'soup', 'mod', 'midpo', 'logits-router', 'decoder', 'served']),
      what: z.string(),
      trainedTokens: z.number(),
      line: z.strictObject({ floor: z.number(), budget: z.number().nullable() }).optional(),
      frontier: z
        .strictObject({
          budget: z.number(),
          earned: z.strictObject({ start: z.number(), rate: z.number() }).nullable(),
        })
        .optional(),
    }),
  ),
  sets: z.array(
    z.strictObject({
      id: z.string(),
      label: z.string(),
      what: z.string(),
      world: z.boolean(),
      questions: z.int().min(0),
    }),
  ),
  seeds: z.array(z.number()),
  learnedFrom: z.string(),
  runs: z.array(
    z.strictObject({
      name: z.string(),
      seed: z.number(),
      steps: z.number(),
      tokens: z.number(),
      seconds: z.number(),
      heldOut: Numbers,
    }),
  ),
  judges: z.array(z.strictObject({ name: z.string(), what: z.string(), figures: Numbers })),
  seconds: z.strictObject({ training: z.number(), generating: z.number() }),
  retrained: z
    .array(
      z.strictObject({
        seed: z.number(),
        digest: z.string(),
        cells: z.array(z.strictObject({ method: z.string(), set: z.string(), depth: z.int().min(0) })),
      }),
    )
    .optional(),
  missing: z.array(z.string()),
  base: z.strictObject({ parameters: z.number(), steps: z.number().nullable() }),
});

const Kind = z.enum(['ordinary', 'borderline', 'harmful']).nullable();
const Questions = z.strictObject({
  type: z.literal('questions'),
  set: z.string(),
  questions: z.array(
    z.strictObject({ id: z.string(), topic: z.string(), kind: Kind, category: z.string().nullable() }),
  ),
});
const CellLine = z.strictObject({
  type: z.literal('cell'),
  method: z.string(),
  set: z.string(),
  seed: z.number(),
  depth: z.int().min(0),
  questions: z.array(z.int().min(0)),
  /** null: the answer has no such figure. `inf`: it has one that is not finite. */
  figures: z.partialRecord(z.enum(FIGURES), z.array(z.union([z.number(), z.null(), z.literal('inf')]))),
  weights: z.array(z.array(z.number())),
});
const Line = z.discriminatedUnion('type', [Questions, CellLine]);

/** Four digits after the point for figures, two for the weights along an answer. */
const round = (value: number, digits: number) => Number(value.toFixed(digits));

/** Writes the whole file or nothing. Returns its size in bytes. */
export function writeResults(
  file: string,
  { results, registration }: { results: StudyResults; registration: Registration | null },
): number {
  const { cells, ...head } = results;
  // The schema puts the keys in its order, so that the same results are the same bytes.
  const lines: object[] = [Head.parse({ format: 1, registration, ...head })];
  const places = new Map<string, Map<string, number>>();
  for (const [set, own] of Map.groupBy(cells, (cell) => cell.set)) {
    const questions = new Map<string, z.infer<typeof Questions>['questions'][number]>();
    for (const { question: id, topic, kind, category } of own.flatMap(({ answers }) => answers)) {
      questions.set(id, { id, topic, kind, category });
    }
    places.set(set, new Map([...questions.keys()].map((id, i) => [id, i])));
    lines.push({ type: 'questions', set, questions: [...questions.values()] });
  }
  for (const { answers, method, set, seed, depth } of cells) {
    const cell = { method, set, seed, depth };
    const place = places.get(cell.set)!;
    const used = FIGURES.filter((figure) => answers.some(({ figures }) => figures[figure] !== undefined));
    const column = (figure: (typeof FIGURES)[number]) =>
      answers.map(({ figures }) => {
        const value = figures[figure];
        if (value === undefined) return null;
        return Number.isFinite(value) ? round(value, 4) : 'inf';
      });
    lines.push({
      type: 'cell',
      ...cell,
      questions: answers.map(({ question }) => place.get(question)!),
      figures: Object.fromEntries(used.map((figure) => [figure, column(figure)])),
      weights: answers.map(({ weights }) => weights.map((weight) => round(weight, 2))),
    });
  }
  const bytes = gzipSync(lines.map((line) => `${JSON.stringify(line)}\n`).join(''), { level: 9 });
  replaceFile(file, bytes);
  return bytes.length;
}

function unzipped(file: string): string {
  try {
    return gunzipSync(readFileSync(file)).toString('utf8');
  } catch (cause) {
    throw new Error(`${file}: no results.jsonl.gz of a study could be read there: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** Reads what `writeResults` wrote. Errors name the file and the line. */
export function readResults(file: string): { results: StudyResults; registration: Registration | null } {
  const [head, ...rest] = unzipped(file).trimEnd().split('\n');
  const parse = <T>(schema: z.ZodType<T>, text: string, at: number): T => {
    const found = schema.safeParse(JSON.parse(text));
    if (!found.success) throw new Error(`${path.basename(file)}:${at}: ${z.prettifyError(found.error)}`);
    return found.data;
  };
  const { format: _, registration, methods, ...others } = parse(Head, head!, 1);
  const sets = new Map<string, z.infer<typeof Questions>['questions']>();
  const cells: Cell[] = [];
  rest.forEach((text, i) => {
    const line = parse(Line, text, i + 2);
    if (line.type === 'questions') {
      sets.set(line.set, line.questions);
      return;
    }
    const { type: _type, questions, figures, weights, ...cell } = line;
    const answers = questions.map((place, at): JudgedAnswer => {
      const question = sets.get(cell.set)?.[place];
      if (!question) throw new Error(`${path.basename(file)}:${i + 2}: ${cell.set} has no question ${place}`);
      const { id, ...about } = question;
      const own: JudgedAnswer['figures'] = {};
      for (const figure of FIGURES) {
        const value = figures[figure]?.[at];
        if (value === 'inf') own[figure] = Number.POSITIVE_INFINITY;
        else if (typeof value === 'number') own[figure] = value;
      }
      return { question: id, ...about, figures: own, weights: weights[at]! };
    });
    cells.push({ ...cell, answers });
  });
  const infos = methods.map(({ line, frontier, ...method }) => ({
    ...method,
    ...(line && { line }),
    ...(frontier && { frontier }),
  }));
  return { results: { ...others, methods: infos, cells }, registration };
}
