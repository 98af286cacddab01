/**
 * LoRA on modules of the user's choice, from training to an adapter in PEFT's layout and back, and
 * the numbers that are kept beside the runs.
 */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { importModel } from '#gpu-backend/import/import-model.ts';
import { tinyBundle } from '#gpu-backend/model/fixtures/tiny-bundle.ts';
import { loadBundle } from '#gpu-backend/model/load-bundle.ts';
import { readSafetensors } from '#gpu-backend/model/read-safetensors.ts';
import { writeBundle } from '#gpu-backend/model/write-bundle.ts';
import { keptNumbers } from '../run/kept-numbers.ts';
import { pairs } from '../testing/small-talk.ts';
import { type BaseModel, openBase } from './base-model.ts';
import { type ExpertOptions, expertStage } from './expert.ts';
import { loadExpertWeights } from './expert-weights.ts';
import { exportStage } from './export.ts';
import { pairSet } from './pair-set.ts';
import { routerStage } from './router.ts';
import { scoreStage } from './score.ts';
import { loadScorer } from './scorer.ts';

const manifest = {
  id: 'mine',
  licence: 'Apache-2.0',
  default_weight: 0.5,
  provenance: { description: 'a test', data: [] },
};
const data = { train: pairs(10), heldOut: pairs(6, 'held out'), dataSettings: {} };
const lora = { rank: 2, alpha: 4, learningRate: 1e-2, pairsPerBatch: 2, epochs: 1 };

let dir: string;
let base: BaseModel;
const at = (name: string) => path.join(dir, name);
const stage = () => ({ resume: false, seed: 1, threads: 1, base, tokenizer: base.tokenizer });
const expert = (out: string, options: Partial<ExpertOptions> = {}) => {
  const dpo = { beta: 0.1, nllWeight: 0, variant: 'corrected', margin: null, from: null, role: 'safety' } as const;
  return expertStage({ ...stage(), ...data, ...lora, ...dpo, out: at(out), ...options });
};
const metricsOf = async (run: string) =>
  (await readFile(at(`${run}/metrics.jsonl`), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, number>);

beforeAll(async () => {
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-targets-'));
  await writeBundle(at('bundle'), tinyBundle({ config: { max_position_embeddings: 512 } }));
  base = await openBase(at('bundle'));
  await expert('targets/safety', { targets: ['v_proj', 'q_proj'] });
  await expert('targets/helpfulness', { role: 'helpfulness' });
});
afterAll(async () => {
  vi.restoreAllMocks();
  await rm(dir, { recursive: true });
});

describe('an expert with LoRA on queries and values', () => {
  test('says so in its run', async () => {
    const targets = ['self_attn.q_proj', 'self_attn.v_proj'];
    expect(JSON.parse(await readFile(at('targets/safety/adapter.json'), 'utf8'))).toEqual({
      role: 'safety',
      rank: 2,
      alpha: 4,
      targets,
    });
    const { modules } = await loadExpertWeights(at('targets/safety'), base);
    expect([...modules.keys()].slice(0, 3)).toEqual([
      'model.layers.0.self_attn.q_proj',
      'model.layers.0.self_attn.v_proj',
      'model.layers.1.self_attn.q_proj',
    ]);
    expect([...modules.values()].every(({ b }) => b.data.some((x) => x !== 0))).toBe(true);
  });

  test('is exported as an adapter that has what PEFT writes, and can be imported again', async () => {
    const runs = [at('targets/safety'), at('targets/helpfulness')];
    await exportStage({ base: at('bundle'), experts: runs, out: at('mine'), manifest, dtype: 'f32' });
    const config = JSON.parse(await readFile(at('mine/experts/safety/adapter_config.json'), 'utf8'));
    expect(config).toMatchObject({
      peft_type: 'LORA',
      task_type: 'CAUSAL_LM',
      r: 2,
      lora_alpha: 4,
      target_modules: ['q_proj', 'v_proj'],
      bias: 'none',
      fan_in_fan_out: false,
    });
    // The scale is alpha / r, which is what PEFT takes without this key.
    expect(config).not.toHaveProperty('use_rslora');
    // PEFT's names and shapes: A is [r, in], B is [out, r].
    const tensors = await readSafetensors(at('mine/experts/safety/adapter_model.safetensors'));
    const { hidden_size: d, num_hidden_layers: layers } = base.config;
    expect(tensors.size).toBe(layers * 2 * 2);
    const name = (module: string) => `base_model.model.model.layers.0.self_attn.${module}.weight`;
    expect(tensors.get(name('q_proj.lora_A'))!.shape).toEqual([2, d]);
    expect(tensors.get(name('q_proj.lora_B'))!.shape[1]).toBe(2);
    expect(tensors.get(name('v_proj.lora_A'))!.shape).toEqual([2, d]);

    await importModel({
      source: at('bundle'),
      out: at('again'),
      id: 'again',
      licence: 'Apache-2.0',
      experts: {
        safety: { adapter: at('mine/experts/safety') },
        helpfulness: { adapter: at('mine/experts/helpfulness') },
      },
    });
    const [mine, again] = [await loadBundle(at('mine')), await loadBundle(at('again'))];
    for (const [i, { modules, rank, alpha }] of mine.experts.entries()) {
      expect(again.experts[i]).toMatchObject({ rank, alpha });
      expect(again.experts[i]!.modules).toEqual(modules);
    }
  });

  test('is refused by a router over layers before anything is computed', async () => {
    const router = routerStage({
      ...stage(),
      ...{ kind: 'layers', variant: 'corrected', width: 4, beta: 0.1, lambda: 1 },
      ...{ learningRate: 1e-2, pairsPerBatch: 2, epochs: 1 },
      ...data,
      safety: await loadExpertWeights(at('targets/safety'), base),
      helpfulness: await loadExpertWeights(at('targets/helpfulness'), base),
      out: at('targets/layers'),
    });
    await expect(router).rejects.toThrow(
      'a router over layers mixes mlp.down_proj alone: the safety expert has LoRA on',
    );
  });

  test('needs targets that the decoder has', async () => {
    await expect(expert('nowhere', { targets: ['c_attn'] })).rejects.toThrow('targets: found "c_attn", wanted');
  });
});

describe('kept numbers', () => {
  const keptIn = async (folder: string, what: string) =>
    (await readdir(at(`${folder}/kept-numbers`))).filter((file) => file.startsWith(what));

  test("another run on the same pairs reads the reference's log-probabilities", async () => {
    await expert('shared/first');
    const files = await keptIn('shared', 'logprobs');
    expect(files).toHaveLength(2);
    expect((await metricsOf('shared/first'))[0]!.dpo).toBeCloseTo(Math.LN2, 4);
    // Spoils them, to see that they are read: DPO then no longer starts at ln 2.
    for (const file of files) {
      const bytes = await readFile(at(`shared/kept-numbers/${file}`));
      const end = bytes.indexOf('\n');
      const { key } = JSON.parse(bytes.toString('utf8', 0, end));
      const count = (bytes.length - end - 1) / 4;
      const kept = keptNumbers(at('shared/kept-numbers'), { what: 'logprobs', key, count });
      kept.values.forEach((value, i) => {
        kept.values[i] = value + (i % 2 === 0 ? 40 : 0);
      });
      kept.save();
    }
    await expert('shared/second', { rank: 3 });
    expect((await metricsOf('shared/second'))[0]!.dpo).toBeGreaterThan(2);
    expect(await keptIn('shared', 'logprobs')).toEqual(files);
    // Other pairs have a reference of their own.
    await expert('shared/third', { train: pairs(10, 'others') });
    expect((await metricsOf('shared/third'))[0]!.dpo).toBeCloseTo(Math.LN2, 4);
    expect(await keptIn('shared', 'logprobs')).toHaveLength(3);
  });

  test('a damaged file of them is computed again', async () => {
    const [file] = await keptIn('targets', 'logprobs');
    await writeFile(at(`targets/kept-numbers/${file}`), 'half');
    await expert('targets/once-more');
    expect((await metricsOf('targets/once-more'))[0]!.dpo).toBeCloseTo(Math.LN2, 4);
  });

  test('a score head without LoRA learns from kept hidden states what it learns through the base', async () => {
    const head = { ...stage(), ...data, ...lora, rank: 0, kind: 'reward' } as const;
    await scoreStage({ ...head, out: at('heads/first') });
    expect(await keptIn('heads', 'states')).toHaveLength(2);
    const scorer = await loadScorer(at('heads/first'), {
      base,
      padId: base.tokenizer.padId,
      threads: 1,
      wanted: 'reward',
    });
    // The trained head through the base gives the figures that the run measured on kept states.
    const set = pairSet(data.heldOut, {
      what: 'held out',
      tokenizer: base.tokenizer,
      dimension: 'better',
      config: base.config,
      pairsPerBatch: 2,
      feeds: 'whole',
    });
    const scores = await scorer.score(set.pairs, null);
    const right = [...scores.values()].filter(([chosen, rejected]) => chosen > rejected).length / scores.size;
    const evaluated = (await metricsOf('heads/first')).findLast((row) => row.heldOutAccuracy !== undefined)!;
    expect(evaluated.heldOutAccuracy).toBeCloseTo(right, 6);
    await scorer.release();
  });
});
