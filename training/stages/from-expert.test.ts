/** Experts that start from another expert: it must be the model that it was trained as. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { tinyBundle } from '#gpu-backend/model/fixtures/tiny-bundle.ts';
import { writeBundle } from '#gpu-backend/model/write-bundle.ts';
import { pairs } from '../testing/small-talk.ts';
import { type BaseModel, openBase } from './base-model.ts';
import { type ExpertOptions, expertStage } from './expert.ts';
import { type ExpertWeights, loadExpertWeights } from './expert-weights.ts';

const FIRST = { rank: 2, alpha: 16, targets: ['q_proj', 'down_proj'] };

let dir: string;
let base: BaseModel;
let first: ExpertWeights;
const at = (name: string) => path.join(dir, name);

const expert = (out: string, options: Partial<ExpertOptions>) =>
  expertStage({
    ...{ resume: false, seed: 1, threads: 1, base, tokenizer: base.tokenizer, role: 'safety' },
    ...{ train: pairs(6), heldOut: pairs(4, 'held out'), dataSettings: {} },
    ...{ beta: 0.1, nllWeight: 0, variant: 'corrected', margin: null, from: null },
    ...{ ...FIRST, learningRate: 1e-2, pairsPerBatch: 2, steps: 3, out: at(out) },
    ...options,
  });

beforeAll(async () => {
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-from-expert-'));
  await writeBundle(at('bundle'), tinyBundle({ config: { max_position_embeddings: 512 } }));
  base = await openBase(at('bundle'));
  await expert('first/run', {});
  first = await loadExpertWeights(at('first/run'), base);
});
afterAll(async () => {
  vi.restoreAllMocks();
  await rm(dir, { recursive: true });
});

test.each<[string, Partial<ExpertOptions>, string]>([
  ['rank', { rank: 4 }, 'first: found an expert of rank 2, this run has 4: give --rank 2'],
  ['alpha', { alpha: 4 }, 'first: found an expert of alpha 16, this run has 4: give --alpha 16'],
  [
    'targets',
    { targets: ['down_proj'] },
    'first: found an expert of targets self_attn.q_proj,mlp.down_proj, this run has mlp.down_proj: ' +
      'give --targets self_attn.q_proj mlp.down_proj',
  ],
])('a start from an expert of other %s is refused', async (what, options, message) => {
  await expect(expert(`other-${what}/run`, { ...options, from: { ...first, name: 'first' } })).rejects.toThrow(message);
});

test("the reference's kept numbers are named by the expert's tensors, scale and modules", async () => {
  await expert('second/run', { from: { ...first, name: 'first' } });
  const folder = at('second/kept-numbers');
  const files = await readdir(folder);
  const adapters = new Set<string>();
  for (const name of files) {
    const [header] = (await readFile(path.join(folder, name), 'utf8')).split('\n');
    adapters.add(JSON.parse(header!).key.adapter);
  }
  expect([...adapters]).toEqual([`${first.digest} x 16/2 on mlp.down_proj,self_attn.q_proj`]);
});
