/**
 * Steps that leave a record of what they read and wrote, so that a command can be stopped at any
 * moment and started again. A step whose record is there is skipped, after a look at whether its
 * inputs and its output are still the same. The record is written last and as a whole: after a
 * `kill -9` a step has either a record or none.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { checksumOf, hexOf } from '#gpu-backend/model/checksum.ts';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import { replaceFile } from '#training/run/write-file.ts';

export type Step<Name extends string, Context> = {
  name: Name;
  /** The steps whose output this one reads. They come earlier in the list. */
  needs: readonly Name[];
  /** What decides the result, besides the outputs of `needs`: settings, digests of files. */
  inputs: (context: Context) => Record<string, unknown> | Promise<Record<string, unknown>>;
  /** What it writes, relative to the recipe's folder. `--redo` removes it. */
  writes: readonly string[];
  /**
   * Whether it goes on with what a stopped run has left only if its inputs are still the same. They
   * are then kept from the start.
   */
  goesOn?: true;
  run: (context: Context) => Promise<void>;
  /** The digest of what was written. Throws if it is missing. */
  digest: (context: Context) => string | Promise<string>;
};

const Inputs = z.strictObject({
  inputs: z.record(z.string(), z.unknown()),
  /** The digests of what the needs wrote, by step. */
  needs: z.record(z.string(), z.string()),
});
type Inputs = z.infer<typeof Inputs>;

const StepRecord = Inputs.extend({
  output: z.string(),
  /** Of the last start, which may have gone on with earlier work. */
  seconds: z.number().min(0),
});
type StepRecord = z.infer<typeof StepRecord>;

/** The inputs of a step that has begun and is not done. */
const begunFile = (dir: string, name: string) => path.join(dir, 'steps', `${name}.begun.json`);
const fileOf = (dir: string, name: string) => path.join(dir, 'steps', `${name}.json`);

/** Null if the step is not done. Throws, naming the file, if it holds something else. */
export function readRecord(dir: string, name: string): StepRecord | null {
  return readSteps(fileOf(dir, name), StepRecord);
}

function readSteps<T>(file: string, schema: z.ZodType<T>): T | null {
  if (!existsSync(file)) return null;
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new Error(`${file}: not JSON: ${(cause as Error).message}`, { cause });
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) throw new Error(`${file}: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`);
  return parsed.data;
}

/**
 * Whether the step is done. Throws if it was done with other inputs, or if its output has changed
 * since: nothing must quietly build on that.
 */
export async function isDone<Name extends string, Context>(
  step: Step<Name, Context>,
  { dir, context }: { dir: string; context: Context },
): Promise<boolean> {
  const record = readRecord(dir, step.name);
  if (record === null) return false;
  const redo = redoOf(step.name);
  const now = await inputsOf(step, { dir, context });
  const other = difference(record, now);
  if (other !== null)
    throw new Error(`${fileOf(dir, step.name)}: the step ${step.name} was done with ${other}: ${redo}`);
  const written = step.writes.map((name) => path.join(dir, name)).join(', ');
  const output = await Promise.resolve()
    .then(() => step.digest(context))
    .catch((cause: unknown) => {
      throw new Error(
        `${written}: what the step ${step.name} wrote cannot be read (${(cause as Error).message}): ${redo}`,
        {
          cause,
        },
      );
    });
  if (output !== record.output) {
    throw new Error(`${written}: found the digest ${output}, the step ${step.name} wrote ${record.output}: ${redo}`);
  }
  return true;
}

const redoOf = (name: string) => `--redo ${name} does it and what builds on it again`;

/** Does a step whose needs are done, and writes its record. Throws if its inputs have changed. */
export async function doStep<Name extends string, Context>(
  step: Step<Name, Context>,
  { dir, context, now = () => performance.now() }: { dir: string; context: Context; now?: () => number },
): Promise<void> {
  const inputs = await inputsOf(step, { dir, context });
  makeFolder(path.join(dir, 'steps'));
  const begun = begunFile(dir, step.name);
  if (step.goesOn) {
    const before = readSteps(begun, Inputs);
    const other = before && difference(before, inputs);
    if (other !== null)
      throw new Error(`${begun}: the step ${step.name} was begun with ${other}: ${redoOf(step.name)}`);
    replaceFile(begun, `${JSON.stringify(inputs, null, 2)}\n`);
  }
  const startedAt = now();
  await step.run(context);
  const seconds = (now() - startedAt) / 1000;
  const record = { ...inputs, output: await step.digest(context), seconds } satisfies StepRecord;
  replaceFile(fileOf(dir, step.name), `${JSON.stringify(record, null, 2)}\n`);
  rmSync(begun, { force: true });
}

/** Forgets a step, and every step that builds on it, with what they wrote. */
export function forgetStep<Name extends string, Context>(
  name: Name,
  { dir, steps }: { dir: string; steps: readonly Step<Name, Context>[] },
): Name[] {
  const forgotten = new Set<Name>();
  for (const step of steps) {
    if (step.name === name || step.needs.some((need) => forgotten.has(need))) forgotten.add(step.name);
  }
  for (const step of steps.filter((step) => forgotten.has(step.name)).reverse()) {
    // The record goes first: without it, what is left of the output is known to be unfinished.
    rmSync(fileOf(dir, step.name), { force: true });
    for (const written of step.writes) rmSync(path.join(dir, written), { recursive: true, force: true });
    rmSync(begunFile(dir, step.name), { force: true });
  }
  return [...forgotten];
}

async function inputsOf<Name extends string, Context>(
  { name, needs, inputs }: Step<Name, Context>,
  { dir, context }: { dir: string; context: Context },
): Promise<Inputs> {
  const outputs = needs.map((need) => {
    const record = readRecord(dir, need);
    if (record === null) throw new Error(`${dir}: the step ${name} needs the step ${need}, which is not done`);
    return [need, record.output] as const;
  });
  // As JSON gives it back, so that a record and its inputs can be compared.
  return Inputs.parse(
    JSON.parse(JSON.stringify({ inputs: await inputs(context), needs: Object.fromEntries(outputs) })),
  );
}

/** The first input that differs, with both values. Null if none does. */
function difference(before: Inputs, now: Inputs): string | null {
  const named = ({ inputs, needs }: Inputs) =>
    new Map([
      ...Object.entries(inputs),
      ...Object.entries(needs).map(([need, digest]) => [`the output of ${need}`, digest] as const),
    ]);
  const [old, own] = [named(before), named(now)];
  for (const key of new Set([...old.keys(), ...own.keys()])) {
    const [was, is] = [JSON.stringify(old.get(key)), JSON.stringify(own.get(key))];
    if (was !== is) return `${key} = ${was ?? 'unset'}, now it is ${is ?? 'unset'}`;
  }
  return null;
}

const LIKE_SHA256 = { sha256: '' };

/** SHA-256 over names and contents, in lower-case hex. */
export async function digestOfFiles(dir: string, names: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const name of names) {
    const sum = hexOf(await checksumOf(path.join(dir, name), LIKE_SHA256));
    hash.update(`${name}\0${sum}\0`);
  }
  return hash.digest('hex');
}

export function digestOfJson(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}
