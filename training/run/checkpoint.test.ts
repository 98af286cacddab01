/**
 * Tests that a checkpoint damaged on disk is detected and named, and that an older one replaces it
 * if there is one.
 */
import { cp, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { AdamW, type Parameters } from '../optim/adamw.ts';
import { loadCheckpoint, saveCheckpoint } from './checkpoint.ts';

let scratch: string;
let dir: string;
beforeAll(async () => {
  scratch = await mkdtemp(path.join(tmpdir(), 'plimsoll-checkpoint-'));
  for (const step of [10, 20]) await save(path.join(scratch, 'healthy'), step);
});
beforeEach(async () => {
  dir = await mkdtemp(path.join(scratch, 'run-'));
  await cp(path.join(scratch, 'healthy'), dir, { recursive: true });
});
afterAll(() => rm(scratch, { recursive: true }));

const settings = { seed: 1 };
const parametersOf = (value: number): Parameters =>
  new Map([['x', { shape: [2, 2], data: new Float32Array(4).fill(value) }]]);

/** Saves a checkpoint in which every weight is the number of the step. */
async function save(dir: string, step: number): Promise<void> {
  const parameters = parametersOf(step);
  const state = { step, tokens: step, seconds: 1, settings };
  await saveCheckpoint(dir, { state, parameters, optimizer: await AdamW.create(parameters) });
}
const newest = (file: string) => path.join(dir, 'step-000020', file);
async function rewrite(file: string, change: (text: string) => string): Promise<void> {
  await writeFile(file, change(await readFile(file, 'latin1')), 'latin1');
}
async function cut(file: string): Promise<void> {
  await truncate(file, (await stat(file)).size - 20);
}
async function flip(file: string, { fromEnd }: { fromEnd: number }): Promise<void> {
  const bytes = await readFile(file);
  bytes[bytes.length - fromEnd]! ^= 1;
  await writeFile(file, bytes);
}

const FAULTS: Record<string, { spoil: () => Promise<void>; problem: RegExp }> = {
  'tensors cut short': {
    spoil: () => cut(newest('tensors.safetensors')),
    problem: /step-000020\/tensors\.safetensors: truncated/,
  },
  'no tensors': {
    spoil: () => rm(newest('tensors.safetensors')),
    problem: /step-000020\/tensors\.safetensors: cannot be read: found no such file/,
  },
  'a bit of a weight flipped': {
    spoil: () => flip(newest('tensors.safetensors'), { fromEnd: 30 }),
    problem: /step-000020\/tensors\.safetensors: found tensors of SHA-256 [0-9a-f]{64}, saved were [0-9a-f]{64}$/,
  },
  'a letter of the header changed': {
    spoil: () => rewrite(newest('tensors.safetensors'), (text) => text.replace('"adam.m.x"', '"adam.n.x"')),
    problem: /step-000020\/tensors\.safetensors: found tensors of SHA-256/,
  },
  'a state that is not JSON': {
    spoil: () => cut(newest('state.json')),
    problem: /step-000020\/state\.json: not JSON/,
  },
  'a state without a field': {
    spoil: () => rewrite(newest('state.json'), (text) => text.replace('"tokens": 20,', '')),
    problem: /step-000020\/state\.json: .*tokens/,
  },
  'the state of another step': {
    spoil: () => rewrite(newest('state.json'), (text) => text.replace('"step": 20', '"step": 30')),
    problem: /step-000020\/state\.json: found step 30 in the folder step-000020/,
  },
  'no state': {
    spoil: () => rm(newest('state.json')),
    problem: /step-000020\/state\.json: the file is missing or cannot be read/,
  },
};

describe.each(Object.entries(FAULTS))('%s', (_, { spoil, problem }) => {
  test('is set aside with a note when the run is resumed, and the previous checkpoint is loaded', async () => {
    await spoil();
    const parameters = parametersOf(0);
    const notes: string[] = [];
    const load = () => loadCheckpoint(dir, { parameters, settings, fallBack: (note) => notes.push(note) });
    expect(await load()).toMatchObject({ step: 10, tokens: 10, seconds: 1, settings });
    expect([...parameters.get('x')!.data]).toEqual([10, 10, 10, 10]);
    const [note, end] = notes[0]!.split('; it is now ');
    expect(note).toMatch(problem);
    expect(end).toBe('step-000020.corrupt, and the run goes on from step-000010');
    expect((await readdir(dir)).sort()).toEqual(['step-000010', 'step-000020.corrupt']);
    await load();
    expect(notes).toHaveLength(1);
  });

  test('is an error for a stage that builds on the run, and no file is moved', async () => {
    await spoil();
    const [found, advice] = await loadCheckpoint(dir, { parameters: parametersOf(0) }).then(
      () => [],
      (error: Error) => error.message.split('; go on '),
    );
    expect(found).toMatch(problem);
    expect(advice).toBe('with that run (--resume), it has a good checkpoint step-000010');
    expect((await readdir(dir)).sort()).toEqual(['step-000010', 'step-000020']);
  });
});

test('if no good checkpoint is left, names each damaged one and says what to do', async () => {
  await cut(newest('tensors.safetensors'));
  await writeFile(path.join(dir, 'step-000010/state.json'), '{');
  const load = loadCheckpoint(dir, { parameters: parametersOf(0), fallBack: () => {} });
  await expect(load).rejects.toThrow(
    /step-000020\/tensors\.safetensors: truncated.*; .*step-000010\/state\.json: not JSON; .* has no good checkpoint left: remove it/,
  );
});

test('loads an old checkpoint that has no checksum', async () => {
  await rewrite(newest('state.json'), (text) => text.replace(/,\s*"sha256": "[0-9a-f]{64}"/, ''));
  expect(await readFile(newest('state.json'), 'utf8')).not.toContain('sha256');
  expect(await loadCheckpoint(dir, { parameters: parametersOf(0), settings })).toMatchObject({ step: 20 });
});

test('names tensors of another shape, but does not treat them as corrupt or load an older checkpoint', async () => {
  const parameters: Parameters = new Map([['x', { shape: [4, 4], data: new Float32Array(16) }]]);
  const load = loadCheckpoint(dir, { parameters, fallBack: () => expect.unreachable() });
  await expect(load).rejects.toThrow('step-000020: tensor x: found [2, 2], wanted [4, 4]');
});

test('a run from before adapters named their module is read as one on down_proj', async () => {
  const older = path.join(scratch, 'older');
  const shape = [2, 2];
  const saved: Parameters = new Map([['lora.0.a', { shape, data: Float32Array.of(1, 2, 3, 4) }]]);
  const state = { step: 5, tokens: 5, seconds: 1, settings };
  const moments = await AdamW.create(saved);
  moments.moments.get('lora.0.a')!.m.fill(7);
  await saveCheckpoint(older, { state, parameters: saved, optimizer: moments });
  const parameters: Parameters = new Map([['lora.0.mlp.down_proj.a', { shape, data: new Float32Array(4) }]]);
  const optimizer = await AdamW.create(parameters);
  await loadCheckpoint(older, { parameters, optimizer });
  expect([...parameters.get('lora.0.mlp.down_proj.a')!.data]).toEqual([1, 2, 3, 4]);
  expect([...optimizer.moments.get('lora.0.mlp.down_proj.a')!.m]).toEqual([7, 7, 7, 7]);
});
