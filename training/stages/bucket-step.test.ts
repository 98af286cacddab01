/** Runs go on with the padding that they began with: it decides which pairs share a batch. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { tinyBundle } from '#gpu-backend/model/fixtures/tiny-bundle.ts';
import { writeBundle } from '#gpu-backend/model/write-bundle.ts';
import { pairs } from '../testing/small-talk.ts';
import { type BaseModel, openBase } from './base-model.ts';
import { stepOf } from './pair-set.ts';
import { scoreStage } from './score.ts';

let dir: string;
let base: BaseModel;
const at = (name: string) => path.join(dir, name);

const train = (out: string, { maxSteps, resume = false }: { maxSteps: number; resume?: boolean }) =>
  scoreStage({
    ...{ seed: 1, threads: 1, base, tokenizer: base.tokenizer, kind: 'reward', rank: 1, alpha: 1 },
    ...{ train: pairs(30), heldOut: pairs(4, 'held out'), dataSettings: {} },
    ...{ learningRate: 1e-2, pairsPerBatch: 2, steps: 12, schedule: 'constant', warmupSteps: 1 },
    ...{ out: at(out), maxSteps, resume },
  });
const stateOf = async (out: string) => {
  const [name] = (await readdir(at(out))).filter((name) => name.startsWith('step-'));
  const file = at(`${out}/${name}/state.json`);
  return { file, state: JSON.parse(await readFile(file, 'utf8')) };
};
const losses = async (out: string) =>
  (await readFile(at(`${out}/metrics.jsonl`), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
    .flatMap(({ step, loss }) => (loss === undefined ? [] : [[step, loss]]));

beforeAll(async () => {
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-bucket-step-'));
  await writeBundle(at('bundle'), tinyBundle({ config: { max_position_embeddings: 512 } }));
  base = await openBase(at('bundle'));
});
afterAll(async () => {
  vi.restoreAllMocks();
  await rm(dir, { recursive: true });
});

test('a run keeps its step, and one that does not say goes on with 32', async () => {
  await train('new', { maxSteps: 2 });
  const { file, state } = await stateOf('new');
  expect(stepOf(2)).toBe(8);
  expect(state.settings.bucketStep).toBe(8);
  const { bucketStep: _, ...older } = state.settings;
  await writeFile(file, JSON.stringify({ ...state, settings: older }));
  await train('new', { maxSteps: 12, resume: true });
  expect((await stateOf('new')).state.settings).not.toHaveProperty('bucketStep');
  const asOlder = await losses('new');

  await train('whole', { maxSteps: 2 });
  await train('whole', { maxSteps: 12, resume: true });
  expect((await stateOf('whole')).state.settings.bucketStep).toBe(8);
  expect(asOlder.slice(0, 2)).toEqual((await losses('whole')).slice(0, 2));
  expect(asOlder.slice(2)).not.toEqual((await losses('whole')).slice(2));
});
