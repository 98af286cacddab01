/**
 * The file of a simulation's results: JSON Lines, first what it is a simulation of, then a line for
 * each prompt. A run that was stopped goes on from it, if it is about the same. Lines are only ever
 * added: where a prompt has several, because it was asked again, the last one counts.
 */
import { createHash } from 'node:crypto';
import { appendFile, readFile, truncate } from 'node:fs/promises';
import * as z from 'zod';
import { whyNot } from '../../options/why-not.ts';
import { Compared } from './outcome.ts';
import { makePrivate, writePrivate } from './private-file.ts';
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

export const digestOfPrompts = (prompts: readonly Messages[]) =>
  createHash('sha256').update(JSON.stringify(prompts)).digest('hex');

/**
 * Opens the file, or makes it, for its owner alone. Returns what it already has, by index.
 *
 * @param force begin anew, whatever is there
 */
export async function openResults(
  file: string,
  head: Head,
  { force }: { force: boolean },
): Promise<Map<number, Compared>> {
  const text = force ? '' : await readFile(file, 'utf8').catch(nothingIfMissing(file));
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  const [first, ...rest] = whole.split('\n').slice(0, -1);
  if (first === undefined) {
    if (text !== '') throw strange(file, 1);
    await writePrivate(file, `${JSON.stringify(head)}\n`);
    return new Map();
  }
  refuseOther(file, parse(first, Head) ?? fail(strange(file, 1)), head);
  const done = rest.map((line, i) => parse(line, Compared) ?? fail(strange(file, i + 2)));
  await makePrivate(file);
  // A line that a killed run was writing has no end. The next one must not be joined to it.
  if (whole !== text) await truncate(file, Buffer.byteLength(whole));
  return new Map(done.map((each) => [each.index, each]));
}

/** Adds a line, which is on the disk when this resolves. */
export async function appendResult(file: string, compared: Compared): Promise<void> {
  await appendFile(file, `${JSON.stringify(compared)}\n`, { flush: true });
}

function refuseOther(file: string, found: Head, wanted: Head): void {
  const keys = Object.keys(wanted) as (keyof Head)[];
  const other = keys.find((key) => found[key] !== wanted[key]);
  if (other === undefined) return;
  throw new Error(
    `${file}: ${other}: found a simulation with ${JSON.stringify(found[other])}, wanted ${JSON.stringify(wanted[other])}; name another --out, or begin anew with --force`,
  );
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

const strange = (file: string, line: number) =>
  new Error(`${file}:${line}: found something else, wanted results of plimsoll policy simulate; name another --out`);

function nothingIfMissing(file: string) {
  return (cause: NodeJS.ErrnoException): string => {
    if (cause.code === 'ENOENT') return '';
    throw new Error(`${file} cannot be read: ${whyNot(cause)}`, { cause });
  };
}
