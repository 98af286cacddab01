/**
 * Every family through the serving engine, against the slow decoder: a random tiny checkpoint,
 * written as a bundle and loaded again.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tinyBundle } from '../model/fixtures/tiny-bundle.ts';
import { TINY_FAMILIES, TINY_FAMILY_NAMES } from '../model/fixtures/tiny-families.ts';
import { type Bundle, loadBundle, openBundle } from '../model/load-bundle.ts';
import { gateOf, slowDecoder } from '../model/testing/slow-decoder.ts';
import { writeBundle } from '../model/write-bundle.ts';
import type { SequenceId, Source, Step } from './experts.ts';
import { OnnxExperts } from './onnx-experts.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'families-'));
});
afterAll(() => rm(root, { recursive: true }));

/**
 * Both compute the same sums, the engine in float32. A logit of these models is a sum of about 40
 * products of size 1 after two layers, and float32 has 7 digits: the errors found are below 5e-6,
 * and 1e-4 leaves room for another order of the sums. A wrong bias, norm, window or frequency
 * changes logits by 0.01 and more (see "the tolerance tells").
 */
const TOLERANCE = 1e-4;

const ids = Array.from({ length: 24 }, (_, i) => 10 + ((i * 37) % 200));
const bounds = { floor: 0.4, ceiling: 0.9 };
const clamp = (x: number, low: number, high: number) => Math.min(Math.max(x, low), high);

/** The largest difference between two rows of logits. */
function distance(found: ArrayLike<number>, wanted: ArrayLike<number>): number {
  expect(found.length).toBe(wanted.length);
  return Array.from(found).reduce((most, x, i) => Math.max(most, Math.abs(x - wanted[i]!)), 0);
}

/** The slow decoder's logits after `prompt` under an expert, or mixed by the layers router. */
function slowLogits(bundle: Bundle, source: Source, prompt: readonly number[]): number[] {
  return slowDecoder(bundle, prompt, ({ layer, h }) => {
    if (source !== 'layers') return { safety: 0, helpfulness: 0, [source]: 1 };
    const { alpha, beta } = bundle.routers.layers!.layers[layer]!;
    return {
      safety: clamp(gateOf(alpha, h), bounds.floor, bounds.ceiling),
      helpfulness: clamp(gateOf(beta, h), 1 - bounds.ceiling, 1 - bounds.floor),
    };
  }).logits;
}

describe.each(TINY_FAMILY_NAMES)('%s', (name) => {
  let bundle: Bundle;
  let experts: OnnxExperts;
  beforeAll(async () => {
    const dir = join(root, name);
    await writeBundle(dir, tinyBundle({ routers: true, config: TINY_FAMILIES[name] }), { dtype: 'f32' });
    bundle = await loadBundle(dir);
    experts = await OnnxExperts.create(await openBundle(dir), { threads: 1 });
  });
  afterAll(() => experts.dispose());

  async function append(steps: readonly Step[]): Promise<Float32Array[]> {
    const outputs = await Promise.all(experts.append(steps));
    return outputs.map(({ row }) => ('logits' in row ? row.logits : new Float32Array()));
  }
  const step = (sequence: SequenceId, source: Source, part: readonly number[]): Step => ({
    sequence,
    ids: part,
    ...(source === 'layers' && { bounds }),
  });

  test.each(['safety', 'helpfulness', 'layers'] as const)('%s: a prompt fed at once', async (source) => {
    const [found] = await append([step(experts.open(source), source, ids)]);
    expect(distance(found!, slowLogits(bundle, source, ids))).toBeLessThan(TOLERANCE);
  });

  test('all sources side by side, with prompts of different lengths fed in parts and token by token', async () => {
    const plans: { source: Source; parts: number[] }[] = [
      { source: 'safety', parts: [5, 9, 1, 1, 8] },
      { source: 'helpfulness', parts: [1, 1, 11, 1, 2] },
      { source: 'layers', parts: [10, 4, 1, 1, 1] },
    ];
    const rows = plans.map(({ source, parts }) => ({ source, parts, sequence: experts.open(source), fed: 0 }));
    for (let round = 0; round < 5; round++) {
      const found = await append(
        rows.map(({ sequence, source, parts, fed }) => step(sequence, source, ids.slice(fed, fed + parts[round]!))),
      );
      for (const [i, row] of rows.entries()) {
        row.fed += row.parts[round]!;
        const wanted = slowLogits(bundle, row.source, ids.slice(0, row.fed));
        expect(distance(found[i]!, wanted), `${row.source} after ${row.fed}`).toBeLessThan(TOLERANCE);
      }
    }
  });
});

/** What each of these kinds does that plain Llama does not, undone. */
test.each<[string, (bundle: Bundle) => Bundle]>([
  ['Llama 3.1, rope_scaling', (bundle) => ({ ...bundle, config: { ...bundle.config, rope_scaling: undefined } })],
  ['Llama 3, one key head, untied', (bundle) => ({ ...bundle, config: { ...bundle.config, rope_theta: 10_000 } })],
  ['Llama with linear scaling', (bundle) => ({ ...bundle, config: { ...bundle.config, rope_scaling: undefined } })],
  ['Mistral, a window of 7 tokens', (bundle) => ({ ...bundle, config: { ...bundle.config, sliding_window: 8 } })],
  ['Qwen2.5', (bundle) => ({ ...bundle, weights: without(bundle, 'k_proj.bias') })],
  ['Qwen3, heads wider than their share', (bundle) => ({ ...bundle, weights: without(bundle, 'q_norm.weight') })],
])('the tolerance tells: %s differs by more than 0.01 from the same model without it', async (name, undo) => {
  const dir = join(root, `${name}, undone`);
  await writeBundle(dir, tinyBundle({ config: TINY_FAMILIES[name as keyof typeof TINY_FAMILIES] }), { dtype: 'f32' });
  const bundle = await loadBundle(dir);
  const [whole, less] = [bundle, undo(bundle)].map((one) => slowLogits(one, 'safety', ids));
  expect(distance(less!, whole!)).toBeGreaterThan(0.01);
});

const without = ({ weights }: Bundle, ending: string) =>
  new Map([...weights].filter(([name]) => !name.endsWith(ending)));

/**
 * Greedy answers of the released bundle. If they change, so do answers that people have receipts
 * for.
 */
test('the demo bundle continues a prompt as it always did', async () => {
  const bundle = await loadBundle(join(import.meta.dirname, '../../models/demo'));
  const experts = await OnnxExperts.create(bundle, { threads: 1 });
  const greedy = async (source: Source) => {
    const sequence = experts.open(source);
    const answer: number[] = [];
    let ids = bundle.renderChat([{ role: 'user', content: 'How do I get rid of mould on a wall?' }]);
    while (answer.length < 16) {
      const [output] = await Promise.all(experts.append([{ sequence, ids }]));
      const { logits } = output!.row as { logits: Float32Array };
      ids = [logits.indexOf(Math.max(...logits))];
      answer.push(...ids);
    }
    return bundle.tokenizer.decode(answer);
  };
  expect(await greedy('safety')).toMatchInlineSnapshot(`"I won't give tips on passing off a damp house as a dry one"`);
  expect(await greedy('helpfulness')).toMatchInlineSnapshot(
    `"Look for the source of the damp first: a leaking gutter, a pipe or"`,
  );
  await experts.dispose();
});
