/** The rows of the files between the recipe's steps. Each says where it is from. */
import * as z from 'zod';
import { Message } from '#shared/protocol/generate.ts';
import { readJsonLines } from '#training/data/read-jsonl.ts';
import type { Preference } from '#training/data/rows.ts';
import { replaceFile } from '#training/run/write-file.ts';
import { PARTS } from '../split/split.ts';
import type { Candidate } from './candidates.ts';
import { STRATA } from './settings.ts';
import { describeSource, FAMILIES, type Family } from './sources.ts';

const Origin = { source: z.string(), licence: z.string(), key: z.string(), part: z.enum(PARTS) };
const Choice = z.union([z.literal(0), z.literal(1)]).nullable();
const Flag = z.boolean().nullable();

/** A prompt for the base to answer. */
export const PromptRow = z.strictObject({ prompt: z.array(Message).min(1), stratum: z.enum(STRATA), ...Origin });
export type PromptRow = z.infer<typeof PromptRow>;

/** The layout `plimsoll` of training/data/preferences.ts, with the row's origin. */
const PairRow = z.strictObject({
  prompt: z.array(Message).min(1),
  response_0: z.string(),
  response_1: z.string(),
  better: Choice,
  safer: Choice,
  safe_0: Flag,
  safe_1: Flag,
  family: z.enum(FAMILIES),
  /** Where the prompt of own answers is from. Left out: from where the pair is. */
  promptSource: z.string().optional(),
  ...Origin,
});
type PairRow = z.infer<typeof PairRow>;

export function writeRows(file: string, rows: readonly object[]): void {
  replaceFile(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
}

export function pairRow(candidate: Candidate): PairRow {
  const { prompt, responses, better, safer, safe, family, promptSource, source, key, part } = candidate;
  return {
    prompt,
    response_0: responses[0],
    response_1: responses[1],
    better,
    safer,
    safe_0: safe?.[0] ?? null,
    safe_1: safe?.[1] ?? null,
    family,
    ...(promptSource !== undefined && { promptSource }),
    source,
    licence: describeSource(source).licence,
    key,
    part,
  };
}

/** The sources of a pair and of its prompt. */
export function sourcesOf({ source, promptSource }: Pick<PairRow, 'source' | 'promptSource'>): string[] {
  return promptSource === undefined || promptSource === source ? [source] : [source, promptSource];
}

export async function readPairRows(file: string): Promise<Candidate[]> {
  const rows: Candidate[] = [];
  for await (const { response_0, response_1, safe_0, safe_1, licence: _, ...row } of readJsonLines(file, PairRow)) {
    rows.push({ ...row, responses: [response_0, response_1], safe: [safe_0, safe_1] });
  }
  return rows;
}

export function readPromptRows(file: string): Promise<PromptRow[]> {
  return Array.fromAsync(readJsonLines(file, PromptRow));
}

/** The pairs of a file as the stages take them; with `family` only those of that family. */
export async function readPreferences(file: string, family?: Family): Promise<Preference[]> {
  const rows = (await readPairRows(file)).filter((row) => family === undefined || row.family === family);
  return rows.map(preferenceOf);
}

export function preferenceOf({ prompt, responses, better, safer, safe, source }: Candidate): Preference {
  const { licence } = describeSource(source);
  return { prompt, responses, better, safer, ...(safe && { safe }), source, licence };
}
