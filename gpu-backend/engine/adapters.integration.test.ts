/**
 * LoRA on every kind of module through the serving engine, against the slow decoder: each kind
 * alone and all together, with two experts of different ranks.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Expert } from '../model/adapter.ts';
import { tinyBundle } from '../model/fixtures/tiny-bundle.ts';
import { TINY_FAMILIES, type TinyFamily } from '../model/fixtures/tiny-families.ts';
import { linearModules } from '../model/linear-modules.ts';
import { type Bundle, loadBundle } from '../model/load-bundle.ts';
import { slowDecoder } from '../model/testing/slow-decoder.ts';
import { writeBundle } from '../model/write-bundle.ts';
import type { Source, Step } from './experts.ts';
import { OnnxExperts } from './onnx-experts.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'adapters-'));
});
afterAll(() => rm(root, { recursive: true }));

/**
 * Float32 against float64 over the same sums, as in the test of families: the errors found are
 * below 5e-6, and the LoRA of a single module changes logits by more than 0.01 (see "the tolerance
 * tells").
 */
const TOLERANCE = 1e-4;

const FAMILIES: TinyFamily[] = ['Llama 3, one key head, untied', 'Qwen2.5', 'Qwen3, heads wider than their share'];
const KINDS = [...new Set([...linearModules(tinyBundle().config).values()].map(({ kind }) => kind))];
const ROLES = ['safety', 'helpfulness'] as const;
const ids = Array.from({ length: 20 }, (_, i) => 10 + ((i * 37) % 200));

async function bundleOf(name: TinyFamily, targets: readonly string[]): Promise<Bundle> {
  const dir = await mkdtemp(join(root, 'bundle-'));
  const parts = tinyBundle({ config: TINY_FAMILIES[name], targets, rank: 3, helpfulnessRank: 5 });
  await writeBundle(dir, parts, { dtype: 'f32' });
  return loadBundle(dir);
}

/** The largest difference between two rows of logits. */
function distance(found: ArrayLike<number>, wanted: ArrayLike<number>): number {
  expect(found.length).toBe(wanted.length);
  return Array.from(found).reduce((most, x, i) => Math.max(most, Math.abs(x - wanted[i]!)), 0);
}

const slowLogits = (bundle: Bundle, source: Source, prompt: readonly number[]) =>
  slowDecoder(bundle, prompt, () => ({ safety: 0, helpfulness: 0, [source]: 1 })).logits;

async function append(experts: OnnxExperts, steps: readonly Step[]): Promise<Float32Array[]> {
  const outputs = await Promise.all(experts.append(steps));
  return outputs.map(({ row }) => ('logits' in row ? row.logits : new Float32Array()));
}

/**
 * Both experts side by side with the slow decoder: a whole prompt at once, then a prompt in parts
 * and token by token over the cached keys and values.
 */
async function expectSlowLogits(bundle: Bundle): Promise<void> {
  const experts = await OnnxExperts.create(bundle, { threads: 1 });
  const wanted = ROLES.map((role) => slowLogits(bundle, role, ids));
  const compare = (found: readonly Float32Array[], what: string) => {
    for (const [i, role] of ROLES.entries()) {
      expect(distance(found[i]!, wanted[i]!), `${role}, ${what}`).toBeLessThan(TOLERANCE);
    }
  };
  compare(
    await append(
      experts,
      ROLES.map((role) => ({ sequence: experts.open(role), ids })),
    ),
    'at once',
  );
  const cached = ROLES.map((role) => experts.open(role));
  for (const part of [ids.slice(0, 11), ids.slice(11, 18), ids.slice(18, 19)]) {
    await append(
      experts,
      cached.map((sequence) => ({ sequence, ids: part })),
    );
  }
  compare(
    await append(
      experts,
      cached.map((sequence) => ({ sequence, ids: ids.slice(19) })),
    ),
    'cached',
  );
  await experts.dispose();
}

describe.each(FAMILIES)('%s', (name) => {
  test.each([...KINDS.map((kind) => [kind, [kind]] as const), ['every module', KINDS] as const])(
    'experts that change %s',
    async (_what, targets) => expectSlowLogits(await bundleOf(name, targets)),
  );

  test('the tolerance tells: without the LoRA of any one module, logits differ by more than 0.01', async () => {
    const bundle = await bundleOf(name, KINDS);
    const whole = slowLogits(bundle, 'safety', ids);
    for (const kind of KINDS) {
      const less = without(bundle, 'safety', `model.layers.1.${kind}`);
      expect(distance(slowLogits(less, 'safety', ids), whole), kind).toBeGreaterThan(0.01);
    }
  });
});

/** The bundle with one module of one expert left alone. */
function without(bundle: Bundle, role: Expert['role'], module: string): Bundle {
  const left = (expert: Expert) => new Map([...expert.modules].filter(([name]) => name !== module));
  return {
    ...bundle,
    experts: bundle.experts.map((expert) => (expert.role === role ? { ...expert, modules: left(expert) } : expert)),
  };
}

test('experts may change different modules in different layers', async () => {
  const bundle = await bundleOf('Qwen2.5', KINDS);
  const some = (expert: Expert, keep: (i: number) => boolean) => ({
    ...expert,
    modules: new Map([...expert.modules].filter((_, i) => keep(i))),
  });
  const [safety, helpfulness] = bundle.experts as [Expert, Expert];
  await expectSlowLogits({
    ...bundle,
    experts: [some(safety, (i) => i % 3 === 0), some(helpfulness, (i) => i % 2 === 1)],
  });
});

test('an expert without modules is the base alone, beside one with an adapter or beside another', async () => {
  const bundle = await bundleOf('Qwen2.5', ['self_attn.v_proj', 'mlp.up_proj']);
  const [safety, helpfulness] = bundle.experts as [Expert, Expert];
  const bare = (expert: Expert): Expert => ({ ...expert, modules: new Map() });
  await expectSlowLogits({ ...bundle, experts: [safety, bare(helpfulness)] });
  await expectSlowLogits({ ...bundle, experts: [bare(safety), bare(helpfulness)] });
});
