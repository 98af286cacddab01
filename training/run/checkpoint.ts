/**
 * Checkpoints of a run: `step-000500/` with the weights, AdamW's moments and the run's settings
 * (checkpoint-files.ts). We keep the newest two. If a process is killed, its last checkpoint
 * remains. If that one is damaged on disk, the previous one remains.
 */
import { existsSync } from 'node:fs';
import { readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Tensor } from '#gpu-backend/model/tensor.ts';
import type { AdamW, Parameters } from '../optim/adamw.ts';
import {
  type CheckpointFiles,
  CorruptCheckpoint,
  type RunState,
  readCheckpoint,
  writeCheckpoint,
} from './checkpoint-files.ts';

const KEPT = 2;
const NAME = /^step-\d{6}$/;
const BUILDING = /^step-\d{6}\.tmp$/;

/** Later versions added these settings. An older run continues without them. */
const LATER_SETTINGS: readonly string[] = ['tokenizer'];

export async function saveCheckpoint(
  dir: string,
  { state, parameters, optimizer }: { state: RunState; parameters: Parameters; optimizer: AdamW },
): Promise<void> {
  const tensors = new Map<string, Tensor>();
  for (const [name, { shape, data }] of parameters) {
    tensors.set(name, { shape: [...shape], data });
    const { m, v } = optimizer.moments.get(name)!;
    tensors.set(`adam.m.${name}`, { shape: [...shape], data: m });
    tensors.set(`adam.v.${name}`, { shape: [...shape], data: v });
  }
  // A kill may leave a half-written checkpoint. It takes up space, and nothing can resume from it.
  await removeAll(dir, await namesIn(dir, BUILDING));
  await writeCheckpoint(path.join(dir, `step-${String(state.step).padStart(6, '0')}`), { state, tensors });
  await removeAll(dir, (await checkpoints(dir)).slice(0, -KEPT));
}

/** Removes all of a run's checkpoints, including half-written and corrupt ones. */
export async function removeCheckpoints(dir: string): Promise<void> {
  await removeAll(dir, await namesIn(dir, /^step-\d{6}(\.|$)/));
}

export type LoadOptions = {
  parameters: Parameters;
  optimizer?: AdamW;
  settings?: RunState['settings'];
  /**
   * For callers that resume the run: a corrupt newest checkpoint is set aside, this function gets a
   * note, and the previous checkpoint is loaded. Without `fallBack`, a corrupt checkpoint is an
   * error, because a stage that builds on a run must not silently get an older state of it.
   */
  fallBack?: (note: string) => void;
};

/** Fills parameters and moments from the newest checkpoint. Returns null if there is none. */
export async function loadCheckpoint(dir: string, options: LoadOptions): Promise<RunState | null> {
  const { parameters, optimizer, settings } = options;
  const newest = await readNewest(dir, options);
  if (newest === null) return null;
  const { at, state, tensors } = newest;
  if (settings !== undefined) sameSettings(state.settings, settings, at);
  const fill = (name: string, { shape, data }: { shape: readonly number[]; data: Float32Array }) => {
    const found = tensors.get(name);
    if (found === undefined || found.shape.join() !== shape.join()) {
      const shapeFound = found ? `[${found.shape.join(', ')}]` : 'nothing';
      throw new Error(`${at}: tensor ${name}: found ${shapeFound}, wanted [${shape.join(', ')}]`);
    }
    data.set(found.data);
  };
  for (const [name, { shape, data }] of parameters) {
    fill(name, { shape, data });
    const moments = optimizer?.moments.get(name);
    if (!moments) continue;
    fill(`adam.m.${name}`, { shape, data: moments.m });
    fill(`adam.v.${name}`, { shape, data: moments.v });
  }
  return state;
}

/** The folders of a run's checkpoints, oldest first. */
export async function checkpoints(dir: string): Promise<string[]> {
  return (await namesIn(dir, NAME)).sort();
}

async function namesIn(dir: string, pattern: RegExp): Promise<string[]> {
  return existsSync(dir) ? (await readdir(dir)).filter((name) => pattern.test(name)) : [];
}

async function removeAll(dir: string, names: readonly string[]): Promise<void> {
  for (const name of names) await rm(path.join(dir, name), { recursive: true, force: true });
}

async function readNewest(
  dir: string,
  { fallBack }: Pick<LoadOptions, 'fallBack'>,
): Promise<(CheckpointFiles & { at: string }) | null> {
  const corrupt: { at: string; problem: string }[] = [];
  for (const name of (await checkpoints(dir)).reverse()) {
    const at = path.join(dir, name);
    let files: CheckpointFiles;
    try {
      files = await readCheckpoint(at);
    } catch (error) {
      if (!(error instanceof CorruptCheckpoint)) throw error;
      corrupt.push({ at, problem: error.message });
      continue;
    }
    for (const { at: spoilt, problem } of corrupt) {
      if (!fallBack) throw new Error(`${problem}; go on with that run (--resume), it has a good checkpoint ${name}`);
      // We keep it under a name that nothing reads, for anyone who wants to know what happened.
      await rm(`${spoilt}.corrupt`, { recursive: true, force: true });
      await rename(spoilt, `${spoilt}.corrupt`);
      fallBack(`${problem}; it is now ${path.basename(spoilt)}.corrupt, and the run goes on from ${name}`);
    }
    return { ...files, at };
  }
  if (corrupt.length === 0) return null;
  const problems = corrupt.map(({ problem }) => problem).join('; ');
  throw new Error(`${problems}; ${dir} has no good checkpoint left: remove it and train that run anew`);
}

function sameSettings(found: RunState['settings'], wanted: RunState['settings'], at: string): void {
  for (const key of new Set([...Object.keys(found), ...Object.keys(wanted)])) {
    if (found[key] === undefined && LATER_SETTINGS.includes(key)) continue;
    const [was, is] = [JSON.stringify(found[key]), JSON.stringify(wanted[key])];
    if (was !== is) {
      throw new Error(
        `${at} was made with ${key} = ${was ?? 'unset'}, this run has ${is ?? 'unset'}: give the old value or start anew in another folder`,
      );
    }
  }
}
