import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { float32 } from '#gpu-backend/graph/session.ts';
import { loadTrained } from './checkpoint.ts';
import { type RunOptions, runTraining } from './loop.ts';
import { StoppedBySignal } from './stopped-by-signal.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-run-'));
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(dir, { recursive: true });
});

/** A run that minimises (x - target)^2. The target depends on the step, as batches do. */
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

/** Stops in the middle of a step without saving anything, as a killed process does. */
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
  test('that was killed and resumed has the same losses as an uninterrupted run', async () => {
    await runTraining(options());
    const whole = await losses();
    expect(whole).toHaveLength(12);
    await rm(dir, { recursive: true });

    await expect(runTraining(options(killedAt(8)))).rejects.toThrow('killed');
    // A kill may cut off a metrics line in the middle.
    await writeFile(path.join(dir, 'metrics.jsonl'), '{"step": 8, "lo', { flag: 'a' });
    const state = await runTraining(options({ resume: true }));
    expect(state).toMatchObject({ step: 12, tokens: 120 });
    expect(await losses()).toEqual(whole);
  });

  test('is replaced with --force, together with everything it had saved', async () => {
    await runTraining(options({ checkpointEverySeconds: 0 }));
    const shorter = { peak: 0.1, warmupSteps: 2, totalSteps: 3 };
    await runTraining(options({ force: true, schedule: shorter, settings: { seed: 2 } }));
    expect((await readdir(dir)).sort()).toEqual(['metrics.jsonl', 'step-000003']);
    expect(await losses()).toHaveLength(3);
  });

  test('keeps its newest two checkpoints', async () => {
    await runTraining(options({ checkpointEverySeconds: 0 }));
    expect((await readdir(dir)).sort()).toEqual(['metrics.jsonl', 'step-000011', 'step-000012']);
  });

  test('is not overwritten without --resume, nor resumed with other settings', async () => {
    await runTraining(options());
    await expect(runTraining(options())).rejects.toThrow('--resume goes on with it, --force replaces it');
    const changed = options({ resume: true, settings: { seed: 2 } });
    await expect(runTraining(changed)).rejects.toThrow('was made with seed = 1, this run has 2');
  });

  test('that is refused does not change the files of the existing run', async () => {
    const files = { 'adapter.json': { rank: 2 } };
    await runTraining(options({ files }));
    const other = { files: { 'adapter.json': { rank: 4 } }, settings: { seed: 2 } };
    await expect(runTraining(options(other))).rejects.toThrow('holds a run');
    await expect(runTraining(options({ ...other, resume: true }))).rejects.toThrow('seed');
    expect(JSON.parse(await readFile(path.join(dir, 'adapter.json'), 'utf8'))).toEqual(files['adapter.json']);
  });

  test('resumes without a setting that did not exist when it began, and keeps it from then on', async () => {
    await expect(runTraining(options(killedAt(8)))).rejects.toThrow('killed');
    const later = { settings: { seed: 1, tokenizer: 'abc' }, resume: true };
    expect(await runTraining(options(later))).toMatchObject({ step: 12 });
    const changed = options({ settings: { seed: 1, tokenizer: 'def' }, resume: true });
    await expect(runTraining(changed)).rejects.toThrow(
      'was made with the tokenizer of SHA-256 abc, now it is def: give the tokenizer that it was made with',
    );
  });

  test('removes a half-written checkpoint after a kill', async () => {
    await expect(runTraining(options(killedAt(8)))).rejects.toThrow('killed');
    await mkdir(path.join(dir, 'step-000008.tmp'));
    await writeFile(path.join(dir, 'step-000008.tmp/tensors.safetensors'), 'half');
    await runTraining(options({ resume: true }));
    expect((await readdir(dir)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});

describe('a run that keeps its best weights', () => {
  /** Held-out losses by step: the second evaluation is the best one. */
  const LOSSES: Record<number, number> = { 3: 2, 6: 1, 9: 1.5, 12: 1 };
  const evaluated = (changes: Partial<RunOptions> = {}) => {
    const whole = options(changes);
    let step = 0;
    return {
      ...whole,
      keep: 'best' as const,
      evaluateEvery: 3,
      batchAt: (at: number) => {
        step = at;
        return whole.batchAt(at);
      },
      evaluate: async () => ({ heldOutLoss: LOSSES[step]! }),
    };
  };
  const trained = async () => {
    const parameters = options().parameters;
    const { step } = await loadTrained(dir, { parameters, stage: 'test' });
    return { step, x: parameters.get('x')!.data[0] };
  };
  const names = async () => (await readdir(dir)).filter((name) => /^(best|step)/.test(name)).sort();

  test('gives them to later stages, and goes on from its newest', async () => {
    await runTraining(evaluated());
    expect(await names()).toEqual(['best-000006', 'step-000012']);
    const best = await trained();
    expect(best.step).toBe(6);
    const six = options({ schedule: { peak: 0.1, warmupSteps: 2, totalSteps: 12 } });
    await rm(dir, { recursive: true });
    await expect(runTraining({ ...six, ...killedAt(7) })).rejects.toThrow('killed');
    expect(await trained()).toEqual(best);
  });

  test('has the same ones after a kill', async () => {
    const killed = killedAt(8);
    await expect(runTraining(evaluated({ ...killed, checkpointEverySeconds: 1000 }))).rejects.toThrow('killed');
    expect(await names()).toEqual(['best-000006']);
    // Nothing else is left of that run, so it begins anew.
    await runTraining(evaluated({ resume: true }));
    expect(await names()).toEqual(['best-000006', 'step-000012']);
  });

  test('goes on keeping them when it is resumed without a word', async () => {
    await expect(runTraining(evaluated(killedAt(8)))).rejects.toThrow('killed');
    await runTraining({ ...evaluated({ resume: true }), keep: undefined });
    expect(await names()).toEqual(['best-000006', 'step-000007', 'step-000012']);
    expect((await trained()).step).toBe(6);
  });

  test('keeps them after a kill before the first evaluation, too', async () => {
    await expect(runTraining(evaluated(killedAt(3)))).rejects.toThrow('killed');
    expect(await names()).toEqual(['step-000001', 'step-000002']);
    await runTraining({ ...evaluated({ resume: true }), keep: undefined });
    expect(await names()).toEqual(['best-000006', 'step-000002', 'step-000012']);
  });

  test('leaves none to a run that begins anew with other settings', async () => {
    await expect(runTraining(evaluated({ ...killedAt(5), checkpointEverySeconds: 1000 }))).rejects.toThrow('killed');
    expect(await names()).toEqual(['best-000003']);
    const other = evaluated({ ...killedAt(3), settings: { seed: 2 }, resume: true });
    await expect(runTraining(other)).rejects.toThrow('killed');
    expect(await names()).toEqual(['step-000001', 'step-000002']);
    expect((await trained()).step).toBe(2);
  });

  test('that is finished keeps or drops them without training', async () => {
    await runTraining(evaluated());
    await runTraining({ ...evaluated({ resume: true }), keep: undefined });
    expect(await names()).toEqual(['best-000006', 'step-000012']);
    await runTraining({ ...evaluated({ resume: true }), keep: 'last' });
    expect(await names()).toEqual(['step-000012']);
  });

  test('drops them when it is resumed with `last`', async () => {
    await expect(runTraining(evaluated(killedAt(8)))).rejects.toThrow('killed');
    await runTraining({ ...evaluated({ resume: true }), keep: 'last' });
    expect(await names()).toEqual(['step-000007', 'step-000012']);
    expect((await trained()).step).toBe(12);
  });
});

test('a step of several batches goes through them in order', async () => {
  const seen: number[] = [];
  const whole = options();
  const batchAt = (at: number) => {
    seen.push(at);
    return whole.batchAt(at);
  };
  await runTraining({ ...whole, batchAt, accumulate: 3, schedule: { peak: 0.1, warmupSteps: 2, totalSteps: 4 } });
  expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
});

test('shows sample answers at the start and at evaluations, and drops those of steps that run again', async () => {
  const sampled: Partial<RunOptions> = {
    evaluateEvery: 5,
    sample: async () => [{ prompt: 'How?', answer: 'With\nlove.' }],
  };
  await expect(runTraining(options({ ...killedAt(8), ...sampled, checkpointEverySeconds: 1000 }))).rejects.toThrow();
  const told = vi.mocked(process.stderr.write).mock.calls.join('');
  expect(told).toContain('test step 0: How? -> With love.\n');
  await runTraining(options({ ...sampled, resume: true }));
  const rows = (await readFile(path.join(dir, 'samples.jsonl'), 'utf8')).trim().split('\n');
  expect(rows.map((row) => JSON.parse(row))).toEqual(
    [0, 5, 10, 12].map((step) => ({ step, prompt: 'How?', answer: 'With\nlove.' })),
  );
});

describe('names the step, batch and tensor, and keeps the last checkpoint intact, for', () => {
  const healthy = options();
  const outputs = ({ loss = 1, gradient = 1 }) => ({
    loss: Float32Array.of(loss),
    'grad.x': Float32Array.of(gradient),
  });
  test.each([
    ['a loss', { loss: Number.NaN, gradient: Number.NaN }, 0.1, 'the loss is NaN, and the gradient of x is not finite'],
    ['a loss alone', { loss: Number.POSITIVE_INFINITY }, 0.1, 'the loss is Infinity, with every gradient finite'],
    ['a gradient', { gradient: Number.NEGATIVE_INFINITY }, 0.1, 'the gradient of x is not finite'],
    ['an update', {}, 1e39, 'the update makes x overflow'],
  ])('%s that is not finite', async (_, broken, rate, problem) => {
    const parameters = new Map([['x', { shape: [1, 1], data: Float32Array.of(4) }]]);
    await expect(runTraining(options({ ...killedAt(5), parameters }))).rejects.toThrow('killed');
    const before = parameters.get('x')!.data[0];
    const step5 = options({
      parameters,
      resume: true,
      checkpointEverySeconds: 0,
      schedule: { peak: rate, warmupSteps: 2, totalSteps: 12 },
      batchAt: async (step) => ({ ...(await healthy.batchAt(step)), run: async () => outputs(broken) }),
    });
    await expect(runTraining(step5)).rejects.toThrow(
      `test: step 5 (batch 5): ${problem}; the last checkpoint (step 4) is intact`,
    );
    if (rate < 1) expect(parameters.get('x')!.data[0]).toBe(before);
    expect((await readdir(dir)).filter((name) => name.startsWith('step'))).toEqual(['step-000003', 'step-000004']);
    expect(await runTraining(options({ resume: true }))).toMatchObject({ step: 12 });
  });
});

describe.each(['SIGINT', 'SIGTERM'] as const)('on %s a run', (signal) => {
  const whole = options();
  const signalledAt = (step: number): Partial<RunOptions> => ({
    batchAt: (at) => {
      if (at === step) process.emit(signal, signal);
      return whole.batchAt(at);
    },
  });

  test('saves the step it is in and throws, so that the next stage of its caller does not start', async () => {
    const nextStage = vi.fn();
    const stages = (async () => {
      await runTraining(options(signalledAt(5)));
      nextStage();
    })();
    const message = `test: ${signal}: saved at step 5; --resume goes on from here`;
    await expect(stages).rejects.toThrow(message);
    await expect(stages).rejects.toBeInstanceOf(StoppedBySignal);
    await expect(stages).rejects.toHaveProperty('exitCode', 130);
    expect(nextStage).not.toHaveBeenCalled();
    expect((await readdir(dir)).sort()).toEqual(['metrics.jsonl', 'step-000005']);
  });

  test('and its resumed rest have the same losses as an uninterrupted run', async () => {
    await runTraining(options());
    const uninterrupted = await losses();
    await rm(dir, { recursive: true });
    await expect(runTraining(options(signalledAt(5)))).rejects.toThrow(StoppedBySignal);
    expect(await runTraining(options({ resume: true }))).toMatchObject({ step: 12 });
    expect(await losses()).toEqual(uninterrupted);
  });

  test('leaves no listener behind', async () => {
    const before = process.listenerCount(signal);
    await runTraining(options());
    await expect(runTraining(options({ ...signalledAt(5), force: true }))).rejects.toThrow(StoppedBySignal);
    expect(process.listenerCount(signal)).toBe(before);
  });
});

// Every write to /dev/full fails for lack of space. test/killed-training.test.ts tests a checkpoint
// on a full disk.
test.skipIf(!existsSync('/dev/full'))(
  'stops with an error that names the metrics file when the disk is full',
  async () => {
    await runTraining(options());
    const whole = await losses();
    await rm(dir, { recursive: true });
    const healthy = options();
    const metrics = path.join(dir, 'metrics.jsonl');
    const full = options({
      checkpointEverySeconds: 0,
      batchAt: async (step) => {
        if (step === 5) {
          await rm(metrics);
          await symlink('/dev/full', metrics);
        }
        return healthy.batchAt(step);
      },
    });
    await expect(runTraining(full)).rejects.toThrow(
      `test: step 5: ${metrics} cannot be written: ENOSPC: no space left on device, write; ` +
        'the last checkpoint (step 4) is intact; once the file can be written, --resume goes on',
    );
    await rm(metrics);
    await runTraining(options({ resume: true }));
    expect(await losses()).toEqual(whole.slice(4));
  },
);
