/**
 * One checkpoint on disk: `tensors.safetensors`, and `state.json` with the run's progress, its
 * settings and the SHA-256 of the tensors. Reading gives back exactly what was saved, or throws a
 * `CorruptCheckpoint` that names the file.
 */
import { createHash } from 'node:crypto';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { BundleError } from '#gpu-backend/model/bundle-error.ts';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import { readSafetensors } from '#gpu-backend/model/read-safetensors.ts';
import type { Tensor } from '#gpu-backend/model/tensor.ts';
import { writeSafetensors } from '#gpu-backend/model/write-safetensors.ts';
import { WriteError } from './write-error.ts';

const STATE = 'state.json';
const TENSORS = 'tensors.safetensors';

const RunState = z.strictObject({
  step: z.int().min(0),
  tokens: z.int().min(0),
  seconds: z.number().min(0),
  /** The settings that determine the results. A resumed run must have the same settings. */
  settings: z.record(z.string(), z.unknown()),
  /** Which weights the run keeps for later stages, unless it is told otherwise when it goes on. */
  keep: z.enum(['best', 'last']).optional(),
});
export type RunState = z.infer<typeof RunState>;

const StateJson = RunState.extend({
  /** Covers the tensors' names, shapes and values. Older checkpoints have none. */
  sha256: z.string().optional(),
});

export type CheckpointFiles = { state: RunState; tensors: ReadonlyMap<string, Tensor> };
/** `digest` is the SHA-256 of the tensors, with which later runs say what they were built on. */
export type ReadCheckpoint = CheckpointFiles & { digest: string };

export class CorruptCheckpoint extends Error {
  override readonly name = 'CorruptCheckpoint';
}

/**
 * Writes to a folder with another name, and renames it once everything is on disk. Whatever happens
 * in between, `at` is either complete or does not exist.
 */
export async function writeCheckpoint(at: string, { state, tensors }: CheckpointFiles): Promise<void> {
  const building = `${at}.tmp`;
  let file = building;
  try {
    makeFolder(building);
    file = path.join(building, TENSORS);
    await writeSafetensors(file, new Map(tensors), { dtype: 'f32' });
    file = path.join(building, STATE);
    const json = { ...state, sha256: digestOf(tensors) } satisfies z.infer<typeof StateJson>;
    await writeFile(file, `${JSON.stringify(json, null, 2)}\n`, { flush: true });
    file = at;
    await rm(at, { recursive: true, force: true });
    await rename(building, at);
  } catch (cause) {
    // Half a checkpoint would waste space on a full disk. If even the removal fails, it does no
    // harm, because nothing reads this folder.
    await rm(building, { recursive: true, force: true }).catch(() => {});
    throw new WriteError(file, cause);
  }
}

export async function readCheckpoint(at: string): Promise<ReadCheckpoint> {
  const { sha256, ...state } = await readState(at);
  const name = path.basename(at);
  if (Number(name.replace(/^\D*/, '')) !== state.step) {
    throw new CorruptCheckpoint(`${path.join(at, STATE)}: found step ${state.step} in the folder ${name}`);
  }
  const file = path.join(at, TENSORS);
  const tensors = await readSafetensors(file).catch((cause: unknown) => {
    if (!(cause instanceof BundleError) || isDenied(cause.cause)) throw cause;
    throw new CorruptCheckpoint(cause.message, { cause });
  });
  const found = digestOf(tensors);
  if (sha256 !== undefined && found !== sha256) {
    throw new CorruptCheckpoint(`${file}: found tensors of SHA-256 ${found}, saved were ${sha256}`);
  }
  return { state, tensors, digest: found };
}

export async function readState(at: string): Promise<z.infer<typeof StateJson>> {
  const file = path.join(at, STATE);
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    if (isDenied(cause)) throw cause;
    throw new CorruptCheckpoint(`${file}: the file is missing or cannot be read`, { cause });
  });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new CorruptCheckpoint(`${file}: not JSON`, { cause });
  }
  const parsed = StateJson.safeParse(json);
  if (!parsed.success) {
    throw new CorruptCheckpoint(`${file}: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`);
  }
  return parsed.data;
}

/**
 * Hashes the tensors in memory, not the file. So the hash also detects errors on the way to the
 * disk.
 */
function digestOf(tensors: ReadonlyMap<string, Tensor>): string {
  const hash = createHash('sha256');
  for (const [name, { shape, data }] of tensors) {
    hash.update(`${name}\0${shape.join()}\0`).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest('hex');
}

/**
 * The file may be intact, but this process has no permission to read it, or no file handle left.
 */
function isDenied(error: unknown): boolean {
  return ['EACCES', 'EPERM', 'EMFILE', 'ENFILE'].includes((error as NodeJS.ErrnoException | undefined)?.code ?? '');
}
