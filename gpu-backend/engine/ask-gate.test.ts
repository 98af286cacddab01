import { describe, expect, test } from 'vitest';
import { createGate } from '#shared/gate/fast/create-gate.ts';
import { gateTruncatedStep, seedKey, startGate } from '#shared/gate/index.ts';
import { OPEN_LINE } from '#shared/line/line.ts';
import { askGate, type Question } from './ask-gate.ts';
import type { Output, Row } from './experts.ts';

const { rule, floor, ceiling, opening, budget, earned } = OPEN_LINE;
const policy = { rule, floor, ceiling, opening, budget, earned };
const sampling = { temperature: 1, topP: 1, key: seedKey(5) };
const state = startGate();
const gate = createGate();

const output = (row: Row, changes: Partial<Output> = {}): Output => ({
  row,
  earlier: [],
  hidden: null,
  alpha: null,
  ...changes,
});
const safetyLogits = Float32Array.of(0, 1, 2, -1);
const helpfulLogits = Float32Array.of(2, 0, -1, 1);
const safety = output({ logits: safetyLogits });
const helpful = output({ logits: helpfulLogits });

const ask = (changes: Partial<Question> = {}) =>
  askGate({ mode: 'logits', safety, beside: helpful, proposal: 0.25, policy, sampling, state, ...changes });

describe('two whole rows', () => {
  test('make one step of the gate, with the proposal', () => {
    expect(ask()).toEqual(gate.step({ safetyLogits, helpfulLogits, proposal: 0.25, policy, sampling, state }));
    expect(ask().weight).toBe(0.25);
  });

  test('let a router propose a weight from both hidden states', () => {
    const proposal = ([s]: Float32Array, [h]: Float32Array) => s! / h!;
    const [s, h] = [{ hidden: Float32Array.of(3) }, { hidden: Float32Array.of(4) }];
    const hidden = { proposal, safety: output(safety.row, s), beside: output(helpful.row, h) };
    expect(ask(hidden).weight).toBe(0.75);
    // If either hidden state is missing, there is no proposal, and the gate closes.
    expect(ask({ ...hidden, safety }).weight).toBe(1);
    expect(ask({ ...hidden, beside: helpful }).weight).toBe(1);
  });

  test('close the gate if the second expert failed', () => {
    expect(ask({ beside: null })).toMatchObject({ weight: 1, spent: 0 });
  });
});

describe('a layers row', () => {
  const layers = (alpha: number | null) => ask({ mode: 'layers', beside: output(helpful.row, { alpha }) });

  test('uses its own gate as the weight, and says nothing about the helpfulness expert', () => {
    const row = { safetyLogits, layersLogits: helpfulLogits, alpha: 0.4 };
    expect(layers(0.4)).toEqual(gate.layersStep({ ...row, policy, sampling, state }));
    expect(layers(0.4)).toMatchObject({ token: 3, weight: 0.4 });
    expect(layers(0.4).logprobHelpful).toBe(ask({ beside: null }).logprobHelpful);
  });

  test.each([null, Number.NaN, -0.1, 1.1])('closes the gate if its own gate is %s', (alpha) => {
    expect(layers(alpha)).toMatchObject({ weight: 1, spent: 0 });
  });

  test('closes the gate if it was not held to the floor', () => {
    const beside = output(helpful.row, { alpha: 0.4 });
    expect(ask({ mode: 'layers', beside, policy: { ...policy, floor: 0.5 } }).weight).toBe(1);
  });
});

describe('two truncated rows', () => {
  const ids = Int32Array.of(2, 5, 9);
  const [s, h] = [Float64Array.of(-0.5, -1.5, -3), Float64Array.of(-2, -1, -0.8)];
  const row = (logprobs: Float64Array, ownIds = ids): Output => output({ ids: ownIds, logprobs, topK: 2 });
  const truncated = { safety: row(s), beside: row(h) };

  test('make one step of the gate on their common ids', () => {
    const rows = { ids, safetyLogprobs: s, helpfulLogprobs: h, topK: 2 };
    expect(ask(truncated)).toEqual(gateTruncatedStep({ rows, proposal: 0.25, policy, sampling, state }));
    expect(ask(truncated).weight).toBe(0.25);
  });

  test.each<[string, Output | null]>([
    ['has other ids', row(h, Int32Array.of(2, 5, 8))],
    ['has fewer ids', row(h.slice(0, 2), ids.slice(0, 2))],
    ['failed', null],
    ['is whole', helpful],
  ])('close the gate if the second row %s', (_, beside) => {
    expect(ask({ ...truncated, beside })).toMatchObject({ weight: 1, spent: 0 });
  });

  test('close the gate in layers mode, which cannot use them', () => {
    expect(ask({ ...truncated, mode: 'layers' }).weight).toBe(1);
  });

  test('close the gate if the safety expert’s row is whole', () => {
    expect(ask({ beside: row(h) })).toMatchObject({ weight: 1, spent: 0 });
  });
});

test('an unusable safety row is an error, whatever the mode', () => {
  const broken = output({ logits: Float32Array.of(Number.NaN, 0) });
  expect(() => ask({ safety: broken })).toThrow(expect.objectContaining({ code: 'safety_row_unusable' }));
  expect(() => ask({ safety: broken, mode: 'layers' })).toThrow(
    expect.objectContaining({ code: 'safety_row_unusable' }),
  );
});
