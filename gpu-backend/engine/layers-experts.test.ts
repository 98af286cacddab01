/**
 * Compares the serving graph with learned routers to the slow decoder, and to the graph without
 * routers.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tinyBundle } from '../model/fixtures/tiny-bundle.ts';
import { type Bundle, loadBundle } from '../model/load-bundle.ts';
import { type GatesAt, gateOf, slowDecoder } from '../model/testing/slow-decoder.ts';
import { writeBundle } from '../model/write-bundle.ts';
import type { Output, SequenceId, Source, Step, WeightBounds } from './experts.ts';
import { OnnxExperts } from './onnx-experts.ts';

let root: string;
let bundle: Bundle;
let experts: OnnxExperts;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'routers-'));
  await writeBundle(join(root, 'tiny'), tinyBundle({ routers: true }), { dtype: 'f32' });
  bundle = await loadBundle(join(root, 'tiny'));
  experts = await OnnxExperts.create(bundle, { threads: 1 });
});
afterAll(async () => {
  await experts.dispose();
  await rm(root, { recursive: true });
});

const prompt = Array.from({ length: 24 }, (_, i) => 10 + ((i * 37) % 200));

/** A sequence's source, and what is asked of it. */
type Asked = { source: Source } & Pick<Step, 'bounds' | 'want'>;
const layers = (floor: number, ceiling = 1): Asked => ({ source: 'layers', bounds: { floor, ceiling } });
const clamp = (x: number, low: number, high: number) => Math.min(Math.max(x, low), high);

/**
 * MidPO's formula with floors, straight from the definition: alpha in [f, c], beta in [1 - c, 1 -
 * f].
 */
const routedGates =
  (boundsAt: (position: number) => WeightBounds): GatesAt =>
  ({ layer, position, h }) => {
    const { alpha, beta } = bundle.routers.layers!.layers[layer]!;
    const { floor, ceiling } = boundsAt(position);
    return {
      safety: clamp(gateOf(alpha, h), floor, ceiling),
      helpfulness: clamp(gateOf(beta, h), 1 - ceiling, 1 - floor),
    };
  };

/** f32 sums against f64 ones through two layers: numbers of about 5 agree to about five digits. */
const TOLERANCE = 2e-4;

function expectClose(found: ArrayLike<number>, wanted: ArrayLike<number>): void {
  expect(found.length).toBe(wanted.length);
  const worst = Array.from(found).reduce((most, x, i) => Math.max(most, Math.abs(x - wanted[i]!)), 0);
  expect(worst).toBeLessThan(TOLERANCE);
}

const mean = (xs: number[]) => xs.reduce((a, b) => a + b) / xs.length;

type Said = { sequence: SequenceId; logits: Float32Array } & Omit<Output, 'row'>;

/** New sequences, each fed the prompt. */
async function fresh(asked: readonly Asked[], from = experts): Promise<Said[]> {
  return step(
    asked.map(({ source, ...rest }) => ({ sequence: from.open(source), ids: prompt, ...rest })),
    from,
  );
}

async function step(steps: readonly Step[], from = experts): Promise<Said[]> {
  const outputs = await Promise.all(from.append(steps));
  return outputs.map(({ row, ...output }, i) => {
    if (!('logits' in row)) throw new Error('onnxruntime gives whole rows');
    return { ...output, logits: row.logits, sequence: steps[i]!.sequence };
  });
}

test('a plain expert has the logits and hidden state of the slow decoder with its gate at 1 and the other at 0', async () => {
  const want = { hidden: true };
  const outputs = await fresh([
    { source: 'safety', want },
    { source: 'helpfulness', want },
  ]);
  for (const [row, role] of (['safety', 'helpfulness'] as const).entries()) {
    const slow = slowDecoder(bundle, prompt, () => ({ safety: 0, helpfulness: 0, [role]: 1 }));
    expectClose(outputs[row]!.logits, slow.logits);
    expectClose(outputs[row]!.hidden!, slow.hidden);
  }
});

describe('a layers row is W h + alpha L_s(h) + beta L_h(h) with the gates of its router', () => {
  test.each([
    ['without bounds', { floor: 0, ceiling: 1 }],
    ['under a floor', { floor: 0.6, ceiling: 1 }],
    ['under a floor that leaves the other expert nothing', { floor: 1, ceiling: 1 }],
    ['under a ceiling', { floor: 0, ceiling: 0.3 }],
    ['between both', { floor: 0.4, ceiling: 0.5 }],
  ])('%s', async (_, bounds) => {
    const slow = slowDecoder(
      bundle,
      prompt,
      routedGates(() => bounds),
    );
    const [output] = await fresh([{ source: 'layers', bounds }]);
    expectClose(output!.logits, slow.logits);
    expect(output!.alpha).toBeCloseTo(mean(slow.gates.map(({ safety }) => safety)), 5);
    // The bounds 0.4 and 0.6 are float32 in the graph.
    expect(output!.alpha).toBeGreaterThanOrEqual(bounds.floor - 1e-6);
    expect(output!.alpha).toBeLessThanOrEqual(bounds.ceiling + 1e-6);
  });

  test('the fixture tests the bounds: its gates are on both sides of a floor of 0.5', async () => {
    const sides = new Set<boolean>();
    const open = routedGates(() => ({ floor: 0, ceiling: 1 }));
    slowDecoder(bundle, prompt, (at) => {
      const gates = open(at);
      sides.add(gates.safety > 0.5);
      return gates;
    });
    expect(sides.size).toBe(2);
  });
});

test('bounds may change from token to token, and tokens fed under the old ones stay as they were', async () => {
  const [opening, later] = [0.9, 0.1];
  let [output] = await fresh([layers(opening)]);
  const { sequence } = output!;
  const answer = [100, 110, 120];
  for (const [i, id] of answer.entries()) {
    [output] = await step([{ sequence, ids: [id], bounds: { floor: i === 0 ? opening : later, ceiling: 1 } }]);
  }
  const slow = slowDecoder(
    bundle,
    [...prompt, ...answer],
    routedGates((position) => ({ floor: position <= prompt.length ? opening : later, ceiling: 1 })),
  );
  expectClose(output!.logits, slow.logits);
  expect(output!.alpha).toBeCloseTo(mean(slow.gates.map(({ safety }) => safety)), 5);
});

test('with both bounds at 0 or 1, the graph with a router gives the same numbers as the graph without one', async () => {
  const plain = await OnnxExperts.create({ ...bundle, routers: { layers: null, logits: null } }, { threads: 1 });
  const asked: Asked[] = [{ source: 'safety' }, { source: 'helpfulness' }];
  const [before, after] = [await fresh(asked, plain), await fresh(asked)];
  // Equal, not just close: a gate clamped to 0 or 1 is exactly that, and every other operation is
  // the same.
  expect(after.map(({ logits }) => logits)).toEqual(before.map(({ logits }) => logits));
  const steps = (said: Said[]) => said.map(({ sequence }) => ({ sequence, ids: [99] }));
  const [next, wanted] = [await step(steps(after)), await step(steps(before), plain)];
  expect(next.map(({ logits }) => logits)).toEqual(wanted.map(({ logits }) => logits));
  await plain.dispose();
});

test('a layers router cannot be served with experts on other modules', async () => {
  const elsewhere = tinyBundle({ targets: ['self_attn.o_proj', 'mlp.down_proj'] }).experts;
  await expect(OnnxExperts.create({ ...bundle, experts: elsewhere }, { threads: 1 })).rejects.toThrow(
    'a layers router needs experts that change only mlp.down_proj, found one on model.layers.0.self_attn.o_proj',
  );
});

test('the order of the experts in the bundle does not matter', async () => {
  const turned = await OnnxExperts.create({ ...bundle, experts: bundle.experts.toReversed() }, { threads: 1 });
  const [output] = await fresh([layers(0.3)]);
  const [other] = await fresh([layers(0.3)], turned);
  expectClose(other!.logits, output!.logits);
  expect(other!.alpha).toBeCloseTo(output!.alpha!, 6);
  await turned.dispose();
});
