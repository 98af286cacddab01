/**
 * Pooled states on disk, in pieces that are written one after the other: reading some 30,000
 * prompts takes the better part of an hour, and may stop at any time. `settings.json` says what the
 * states are of. Each piece is complete or not there.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import { readSafetensors } from '#gpu-backend/model/read-safetensors.ts';
import { writeSafetensors } from '#gpu-backend/model/write-safetensors.ts';
import { WriteError } from '#training/run/write-error.ts';
import type { PlannedPrompt } from './plan-prompts.ts';
import { type BlockName, blockNames, type StateReader, type States } from './read-states.ts';

/** Prompts of one file. Some seconds of work are lost at most. */
const FILE_PROMPTS = 64;
const SETTINGS = 'settings.json';

const Settings = z.strictObject({
  /** SHA-256 of the bundle whose states they are. */
  base: z.string(),
  /** Which row was read: the safety expert's, or the base's alone. */
  row: z.enum(['safety', 'base']),
  layers: z.array(z.int()),
  /** SHA-256 over all tokens and the stretches that were pooled. */
  prompts: z.string(),
});
export type StateSettings = z.infer<typeof Settings>;

export function promptsDigest(plans: readonly PlannedPrompt[]): string {
  const hash = createHash('sha256');
  for (const { ids, pieces } of plans) {
    hash.update(`${ids.join()};${pieces.map(({ from, to, last }) => `${from}-${to}-${last}`).join()}\n`);
  }
  return hash.digest('hex');
}

/**
 * Reads the states of all plans, from disk where they are there. The order of the pieces is that of
 * `plans`, which should be sorted by length. Throws if the folder holds states of something else.
 */
export async function statesOf(
  plans: readonly PlannedPrompt[],
  {
    dir,
    settings,
    hiddenSize,
    openReader,
    filePrompts = FILE_PROMPTS,
    onPrompts = () => {},
  }: {
    dir: string;
    settings: StateSettings;
    hiddenSize: number;
    /** Called only if something is missing. */
    openReader: () => Promise<Pick<StateReader, 'read' | 'dispose'>>;
    /** How many prompts a file holds. */
    filePrompts?: number;
    /** `read`: whether they had to be read now. */
    onPrompts?: (count: number, read: boolean) => void;
  },
): Promise<States> {
  makeFolder(dir);
  await checkSettings(path.join(dir, SETTINGS), settings);
  const names = blockNames(settings.layers);
  const pieces = plans.reduce((sum, plan) => sum + plan.pieces.length, 0);
  const all = new Map(names.map((name) => [name, new Float32Array(pieces * hiddenSize)]));
  let reader: Pick<StateReader, 'read' | 'dispose'> | undefined;
  try {
    for (let at = 0, row = 0; at < plans.length; at += filePrompts) {
      const part = plans.slice(at, at + filePrompts);
      const rows = part.reduce((sum, plan) => sum + plan.pieces.length, 0);
      const file = path.join(dir, `states-${String(at / filePrompts).padStart(5, '0')}.safetensors`);
      const isThere = existsSync(file);
      if (!isThere) {
        reader ??= await openReader();
        await writeStates(file, await reader.read(part), hiddenSize);
      }
      const states = await readStates(file, { names, rows, hiddenSize });
      for (const [name, numbers] of states) all.get(name)!.set(numbers, row * hiddenSize);
      row += rows;
      onPrompts(part.length, !isThere);
    }
  } finally {
    await reader?.dispose();
  }
  return all;
}

async function checkSettings(file: string, wanted: StateSettings): Promise<void> {
  if (!existsSync(file)) {
    await writeFile(file, `${JSON.stringify(wanted, null, 2)}\n`, { flush: true });
    return;
  }
  const parsed = Settings.safeParse(jsonOf(await readFile(file, 'utf8')));
  if (!parsed.success) throw new Error(`${file}: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`);
  for (const key of Settings.keyof().options) {
    const [found, want] = [JSON.stringify(parsed.data[key]), JSON.stringify(wanted[key])];
    if (found === want) continue;
    throw new Error(`${file}: ${key}: found ${found}, wanted ${want}; --force reads all states anew`);
  }
}

/** undefined, which no schema takes, for what is not JSON. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function writeStates(file: string, states: States, hiddenSize: number): Promise<void> {
  const building = `${file}.tmp`;
  try {
    const tensors = [...states].map(([name, data]): [string, { shape: number[]; data: Float32Array }] => [
      name,
      { shape: [data.length / hiddenSize, hiddenSize], data },
    ]);
    await writeSafetensors(building, new Map(tensors), { dtype: 'f32' });
    await rename(building, file);
  } catch (cause) {
    await rm(building, { force: true }).catch(() => {});
    throw new WriteError(file, cause);
  }
}

async function readStates(
  file: string,
  { names, rows, hiddenSize }: { names: readonly BlockName[]; rows: number; hiddenSize: number },
): Promise<[BlockName, Float32Array][]> {
  const tensors = await readSafetensors(file);
  return names.map((name) => {
    const tensor = tensors.get(name);
    const found = tensor === undefined ? 'none' : `[${tensor.shape.join(', ')}]`;
    if (tensor === undefined || found !== `[${rows}, ${hiddenSize}]`) {
      throw new Error(`${file}: tensor ${name}: found ${found}, wanted [${rows}, ${hiddenSize}]`);
    }
    return [name, tensor.data];
  });
}
