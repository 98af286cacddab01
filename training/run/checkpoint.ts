/**
 * Checkpoints of a run: `step-000500/` with the weights, AdamW's moments and the run's settings
 * (checkpoint-files.ts). We keep the newest two. If a process is killed, its last checkpoint
 * remains. If that one is damaged on disk, the previous one remains.
 *
 * A run that keeps its best weights has them in `best-000400/`, without the moments. Later stages
 * read those. The run itself goes on from its newest checkpoint.
 */
import { existsSync } from 'node:fs';
import { readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Tensor } from '#gpu-backend/model/tensor.ts';
import type { AdamW, Parameters } from '../optim/adamw.ts';
import {
  CorruptCheckpoint,
  type ReadCheckpoint,
  type RunState,
  readCheckpoint,
  readState,
  writeCheckpoint,
} from './checkpoint-files.ts';
import { assertSameSettings } from './same-settings.ts';

const KEPT = 2;
const NAME = /^step-\d{6}$/;
const BEST = /^best-\d{6}$/;
const BUILDING = /^(step|best)-\d{6}\.tmp$/;

/** A run's state, and the SHA-256 of the weights that it was loaded with. */
type LoadedRun = RunState & { digest: string };

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
  await writeCheckpoint(path.join(dir, `step-${numberOf(state.step)}`), { state, tensors });
  await removeAll(dir, (await checkpoints(dir)).slice(0, -KEPT));
}

/** Keeps these weights as the run's best, instead of those before. */
export async function saveBest(
  dir: string,
  { state, parameters }: { state: RunState; parameters: Parameters },
): Promise<void> {
  const name = `best-${numberOf(state.step)}`;
  const tensors = new Map([...parameters].map(([key, { shape, data }]) => [key, { shape: [...shape], data }]));
  await writeCheckpoint(path.join(dir, name), { state, tensors });
  await removeAll(
    dir,
    (await namesIn(dir, BEST)).filter((other) => other !== name),
  );
}

/** The step of the kept best weights, or null. */
export async function bestStep(dir: string): Promise<number | null> {
  const name = (await namesIn(dir, BEST)).sort().at(-1);
  return name === undefined ? null : Number(name.slice('best-'.length));
}

export async function removeBest(dir: string): Promise<void> {
  await removeAll(dir, await namesIn(dir, BEST));
}

/** Removes all of a run's checkpoints, including half-written and corrupt ones. */
export async function removeCheckpoints(dir: string): Promise<void> {
  await removeAll(dir, await namesIn(dir, /^(step|best)-\d{6}(\.|$)/));
}

const numberOf = (step: number) => String(step).padStart(6, '0');

export type LoadOptions = {
  parameters: Parameters;
  optimizer?: AdamW;
  settings?: RunState['settings'];
  /** Settings that may have changed since; the caller checks them. */
  mayDiffer?: readonly string[];
  /**
   * For callers that resume the run: a corrupt newest checkpoint is set aside, this function gets a
   * note, and the previous checkpoint is loaded. Without `fallBack`, a corrupt checkpoint is an
   * error, because a stage that builds on a run must not silently get an older state of it.
   */
  fallBack?: (note: string) => void;
};

/** The settings of the run in `dir`, from its newest checkpoint that can be read. */
export async function savedSettings(dir: string): Promise<RunState['settings'] | null> {
  for (const name of (await checkpoints(dir)).reverse()) {
    try {
      return (await readState(path.join(dir, name))).settings;
    } catch (error) {
      if (!(error instanceof CorruptCheckpoint)) throw error;
    }
  }
  return null;
}

/** Fills parameters and moments from the newest checkpoint. Returns null if there is none. */
export async function loadCheckpoint(dir: string, options: LoadOptions): Promise<LoadedRun | null> {
  const { settings, mayDiffer = [] } = options;
  const newest = await readNewest(dir, options);
  if (newest === null) return null;
  if (settings !== undefined) assertSameSettings(newest.state.settings, settings, { at: newest.at, mayDiffer });
  return fillFrom(newest, options);
}

/**
 * Fills the parameters with what a finished run is good for: its best weights if it kept them,
 * otherwise its newest. Throws if there is no checkpoint, naming the stage that makes one.
 */
export async function loadTrained(
  dir: string,
  { parameters, stage }: { parameters: Parameters; stage: string },
): Promise<LoadedRun> {
  const best = await bestStep(dir);
  if (best !== null) {
    const at = path.join(dir, `best-${numberOf(best)}`);
    return fillFrom({ ...(await readCheckpoint(at)), at }, { parameters });
  }
  const newest = await loadCheckpoint(dir, { parameters });
  if (newest === null) throw new Error(`${dir} holds no checkpoint: run the stage ${stage} first`);
  return newest;
}

function fillFrom(
  { at, state, tensors, digest }: ReadCheckpoint & { at: string },
  { parameters, optimizer }: Pick<LoadOptions, 'parameters' | 'optimizer'>,
): LoadedRun {
  const fill = (name: string, { shape, data }: { shape: readonly number[]; data: Float32Array }) => {
    const found = tensors.get(name) ?? tensors.get(olderName(name));
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
  return { ...state, digest };
}

/** LoRA was on `mlp.down_proj` alone once, and its tensors did not say so: `lora.0.a`. */
function olderName(name: string): string {
  return name.replace(/(^|\.)lora\.(\d+)\.mlp\.down_proj\.([ab])$/, '$1lora.$2.$3');
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
): Promise<(ReadCheckpoint & { at: string }) | null> {
  const corrupt: { at: string; problem: string }[] = [];
  for (const name of (await checkpoints(dir)).reverse()) {
    const at = path.join(dir, name);
    let files: ReadCheckpoint;
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
