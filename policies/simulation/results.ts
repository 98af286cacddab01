/**
 * The results of a simulation as text: JSON Lines, first what it is a simulation of, then a line
 * for each prompt. A run that was stopped goes on from them, if it is about the same. Lines are
 * only ever added: where a prompt has several, because it was asked again, the last one counts.
 */
import * as z from 'zod';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { Compared } from './outcome.ts';
import type { Messages } from './read-prompts.ts';

const Head = z.strictObject({
  type: z.literal('plimsoll-simulation'),
  format: z.literal(2),
  tenant: z.string(),
  before: z.string(),
  after: z.string(),
  model: z.string(),
  maxTokens: z.int(),
  seed: z.int(),
  temperature: z.number().nullable(),
  scores: z.boolean(),
  /** SHA-256 over the prompts. */
  prompts: z.string(),
});
export type Head = z.infer<typeof Head>;

export const headOf = (about: Omit<Head, 'type' | 'format'>): Head => ({
  type: 'plimsoll-simulation',
  format: 2,
  ...about,
});

export const digestOfPrompts = (prompts: readonly Messages[]) => sha256Hex(JSON.stringify(prompts));

export type Results = {
  head: Head;
  /** By the prompt's index. */
  done: Map<number, Compared>;
  /** What counts of the text. The last line of a run that was killed may have no end. */
  whole: string;
};

/** null: there is nothing yet. Throws if the text is anything else; `name` is the file's. */
export function readResults(text: string, name: string): Results | null {
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  const [first, ...rest] = whole.split('\n').slice(0, -1);
  if (first === undefined) {
    if (text !== '') throw strange(name, 1);
    return null;
  }
  const head = parse(first, Head) ?? fail(strange(name, 1));
  const done = rest.map((line, i) => parse(line, Compared) ?? fail(strange(name, i + 2)));
  return { head, done: new Map(done.map((each) => [each.index, each])), whole };
}

export const lineOf = (line: Head | Compared) => `${JSON.stringify(line)}\n`;

/** The first thing in which two runs are not about the same; null: they are. */
export function differenceOf(found: Head, wanted: Head): { field: keyof Head; found: string; wanted: string } | null {
  const keys = Object.keys(wanted) as (keyof Head)[];
  const field = keys.find((key) => found[key] !== wanted[key]);
  if (field === undefined) return null;
  return { field, found: JSON.stringify(found[field]), wanted: JSON.stringify(wanted[field]) };
}

function parse<T>(line: string, schema: z.ZodType<T>): T | null {
  try {
    return schema.safeParse(JSON.parse(line)).data ?? null;
  } catch {
    return null;
  }
}

function fail(error: Error): never {
  throw error;
}

const strange = (name: string, line: number) =>
  new Error(`${name}:${line}: found something else, wanted results of plimsoll policy simulate`);
