import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { float32 } from '#gpu-backend/graph/session.ts';
import { type RunOptions, runTraining } from './loop.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-run-'));
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(dir, { recursive: true });
});

/** Minimises (x - target)^2 with a target that depends on the step, as batches do. */
function options(changes: Partial<RunOptions> = {}): RunOptions {
  const parameters = new Map([['x', { shape: [1, 1], data: Float32Array.of(4) }]]);
  return {
    label: 'test',
    dir,
    resume: false,
    parameters,
    schedule: { peak: 0.1, warmupSteps: 2, totalSteps: 12 },
    adamw: {},
    settings: { seed: 1 },
    batchAt: (step) => ({
      feeds: { target: float32([1], Float32Array.of(Math.sin(step))) },
      tokens: 10,
      label: `batch ${step}`,
      run: async ({ x, target }) => {
        const difference = Number(x!.data[0]) - Number(target!.data[0]);
        return { loss: Float32Array.of(difference ** 2), 'grad.x': Float32Array.of(2 * difference) };
      },
    }),
    ...changes,
  };
}

const losses = async () =>
  (await readFile(path.join(dir, 'metrics.jsonl'), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { loss: number }).loss);

/** Breaks off in the middle of a step, as a killed process does: nothing is saved on the way out. */
const killedAt = (step: number): Partial<RunOptions> => {
  const whole = options();
  return {
    checkpointEverySeconds: 0,
    batchAt: (at) => {
      if (at === step) throw new Error('killed');
      return whole.batchAt(at);
    },
  };
};

describe('a run', () => {
  test('that was killed and resumed has the losses of one that was not', async () => {
    await runTraining(options());
    const whole = await losses();
    expect(whole).toHaveLength(12);
    await rm(dir, { recursive: true });

    await expect(runTraining(options(killedAt(8)))).rejects.toThrow('killed');
    // What a kill leaves: a metrics line cut in two.
    await writeFile(path.join(dir, 'metrics.jsonl'), '{"step": 8, "lo', { flag: 'a' });
    const state = await runTraining(options({ resume: true }));
    expect(state).toMatchObject({ step: 12, tokens: 120 });
    expect(await losses()).toEqual(whole);
  });

  test('keeps its newest two checkpoints', async () => {
    await runTraining(options({ checkpointEverySeconds: 0 }));
    expect((await readdir(dir)).sort()).toEqual(['metrics.jsonl', 'step-000011', 'step-000012']);
  });

  test('is not overwritten without --resume, nor resumed under other settings', async () => {
    await runTraining(options());
    await expect(runTraining(options())).rejects.toThrow('give --resume to go on with it, or remove the folder');
    const changed = options({ resume: true, settings: { seed: 2 } });
    await expect(runTraining(changed)).rejects.toThrow('was made with seed = 1, this run has 2');
  });

  test('stops at a loss that is not a number, naming step and batch, with the last checkpoint intact', async () => {
    const healthy = options();
    const broken = options({
      checkpointEverySeconds: 0,
      batchAt: async (step) => {
        const batch = await healthy.batchAt(step);
        const nan = { loss: Float32Array.of(Number.NaN), 'grad.x': Float32Array.of(0) };
        return step === 5 ? { ...batch, run: async () => nan } : batch;
      },
    });
    await expect(runTraining(broken)).rejects.toThrow('test: step 5 (batch 5): the loss is NaN');
    expect(await runTraining(options({ resume: true }))).toMatchObject({ step: 12 });
  });
});
