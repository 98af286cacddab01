/**
 * Checkpoints of a run: `step-000500/` with the weights, AdamW's moments and the run's settings. A checkpoint is written under another
 * name and renamed when whole, so a killed process leaves the last good one; the newest two are kept.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { readSafetensors } from '#gpu-backend/model/read-safetensors.ts';
import { writeSafetensors } from '#gpu-backend/model/write-safetensors.ts';
import type { AdamW, Parameters } from '../optim/adamw.ts';

const KEPT = 2;
const NAME = /^step-(\d{6})$/;

const State = z.strictObject({
  step: z.int().min(0),
  tokens: z.int().min(0),
  seconds: z.number().min(0),
  /** The settings that decide the numbers; a resumed run must have the same. */
  settings: z.record(z.string(), z.unknown()),
});
export type RunState = z.infer<typeof State>;

export async function saveCheckpoint(
  dir: string,
  { state, parameters, optimizer }: { state: RunState; parameters: Parameters; optimizer: AdamW },
): Promise<void> {
  const target = path.join(dir, `step-${String(state.step).padStart(6, '0')}`);
  const building = `${target}.tmp`;
  await rm(building, { recursive: true, force: true });
  await mkdir(building, { recursive: true });
  const tensors = new Map<string, { shape: number[]; data: Float32Array }>();
  for (const [name, { shape, data }] of parameters) {
    tensors.set(name, { shape: [...shape], data });
    const { m, v } = optimizer.moments.get(name)!;
    tensors.set(`adam.m.${name}`, { shape: [...shape], data: m });
    tensors.set(`adam.v.${name}`, { shape: [...shape], data: v });
  }
  await writeSafetensors(path.join(building, 'tensors.safetensors'), tensors, { dtype: 'f32' });
  await writeFile(path.join(building, 'state.json'), `${JSON.stringify(state, null, 2)}\n`);
  await rm(target, { recursive: true, force: true });
  await rename(building, target);
  for (const old of (await checkpoints(dir)).slice(0, -KEPT)) await rm(path.join(dir, old), { recursive: true });
}

/** Fills parameters and moments from the newest checkpoint; null when there is none. */
export async function loadCheckpoint(
  dir: string,
  { parameters, optimizer, settings }: { parameters: Parameters; optimizer?: AdamW; settings?: RunState['settings'] },
): Promise<RunState | null> {
  const newest = (await checkpoints(dir)).at(-1);
  if (newest === undefined) return null;
  const at = path.join(dir, newest);
  const state = State.parse(JSON.parse(await readFile(path.join(at, 'state.json'), 'utf8')));
  if (settings !== undefined) sameSettings(state.settings, settings, at);
  const tensors = await readSafetensors(path.join(at, 'tensors.safetensors'));
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

async function checkpoints(dir: string): Promise<string[]> {
  if (!existsSync(dir)) return [];
  return (await readdir(dir)).filter((name) => NAME.test(name)).sort();
}

function sameSettings(found: RunState['settings'], wanted: RunState['settings'], at: string): void {
  for (const key of new Set([...Object.keys(found), ...Object.keys(wanted)])) {
    const [was, is] = [JSON.stringify(found[key]), JSON.stringify(wanted[key])];
    if (was !== is) {
      throw new Error(
        `${at} was made with ${key} = ${was ?? 'unset'}, this run has ${is ?? 'unset'}: give the old value or start anew in another folder`,
      );
    }
  }
}
