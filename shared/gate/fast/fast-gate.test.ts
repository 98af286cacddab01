/**
 * What is the fast version's own: long rows, memory that is used again, and what it leaves to the
 * plain version. The laws that hold for both versions are in the tests of the folder above.
 */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LOG_ZERO } from '../add-spending.ts';
import { seedKey } from '../draw-key.ts';
import { gateHelpfulStep } from '../gate-helpful-step.ts';
import { gateLayersStep } from '../gate-layers-step.ts';
import { gateStep, startGate } from '../gate-step.ts';
import type { GatePolicy, GateStep, SamplingParams } from '../gate-types.ts';
import * as arbitrary from '../testing/arbitraries.ts';
import { OPEN_POLICY } from '../testing/open-policy.ts';
import { createGate } from './create-gate.ts';
import { FastGate, type FastInput } from './fast-gate.ts';
import { type Kernel, loadKernel } from './kernel.ts';
import { longRows } from './testing/long-rows.ts';

// null would be a machine without WebAssembly, which no test runs on.
const kernel = loadKernel() as Kernel;
const fast = new FastGate(kernel);

/** Not a whole number of blocks. */
const TOKENS = 2003;

const everySecond = new Uint32Array(Math.ceil(TOKENS / 32)).fill(0xaaaaaaaa);
const oneBlock = new Uint32Array(Math.ceil(TOKENS / 32)).fill(0);
oneBlock.fill(0xffffffff, 20, 22);
const SHAPES: Record<string, Omit<SamplingParams, 'key'>> = {
  'temperature 1': { temperature: 1, topP: 1 },
  'temperature 0.7': { temperature: 0.7, topP: 1 },
  'temperature 1.6 and top-p 0.97': { temperature: 1.6, topP: 0.97 },
  'temperature 0.7 and top-p 0.9': { temperature: 0.7, topP: 0.9 },
  'top-k 40': { temperature: 1, topP: 1, topK: 40 },
  'top-k 400, more than there are blocks': { temperature: 1, topP: 1, topK: 400 },
  'top-k 50, top-p 0.8 and min-p 0.1': { temperature: 0.9, topP: 0.8, topK: 50, minP: 0.1 },
  'min-p 0.05': { temperature: 1.3, topP: 1, minP: 0.05 },
  'top-p 0': { temperature: 1, topP: 0 },
  greedy: { temperature: 0, topP: 1 },
  'a mask': { temperature: 1, topP: 1, mask: new Set([0, 1, 2, 700, 2002, 9999]) },
  'every second token': { temperature: 0.8, topP: 0.95, allowed: everySecond },
  'one block': { temperature: 1, topP: 1, allowed: oneBlock, mask: new Set([650]) },
  'every second token, greedily': { temperature: 0, topP: 1, allowed: everySecond },
  'a bias': {
    temperature: 0.7,
    topP: 1,
    bias: new Map([
      [17, 9],
      [1999, -4],
      [3, -Infinity],
      [8000, 1],
      [-1, 1],
    ]),
  },
  'a repetition penalty': {
    temperature: 0.7,
    topP: 0.9,
    scale: new Map(Array.from({ length: 300 }, (_, i) => [i, 1.2])),
  },
  'a penalty and a bias, greedily': { temperature: 0, topP: 1, scale: new Map([[5, 0.1]]), bias: new Map([[6, 30]]) },
};
const BUDGETS = [null, 0, 0.02, 0.4, 3, 1e6];

const RULES = ['geometric', 'arithmetic'] as const;

describe.each(Object.entries(SHAPES))('with %s, as the plain version', (_, shape) => {
  test.each(RULES)('draws the same tokens and reports the same, by the %s rule', (rule) => {
    for (const [seed, budget] of BUDGETS.entries()) {
      const rows = longRows(TOKENS, seed);
      const policy: GatePolicy = { ...OPEN_POLICY, rule, budget };
      for (let i = 0; i < 8; i++) {
        const proposal = [0, 0.3, 0.8, 1][i % 4]!;
        const sampling = { ...shape, key: seedKey(1000 * seed + i) };
        const rest = { policy, sampling, state: startGate(i), report: { topLogprobs: 5, experts: true } };
        expectSame(
          fast.step({
            safetyLogits: rows.safetyLogits,
            besideLogits: rows.helpfulLogits,
            beside: { proposal },
            ...rest,
          }),
          gateStep({ ...rows, proposal, ...rest }),
        );
      }
    }
  });

  test('draws the same tokens from a layers row', () => {
    for (const [seed, budget] of BUDGETS.entries()) {
      const { safetyLogits, helpfulLogits } = longRows(TOKENS, seed);
      const sampling = { ...shape, key: seedKey(seed) };
      const rest = { safetyLogits, policy: { ...OPEN_POLICY, budget }, sampling, state: startGate() };
      expectSame(
        fast.step({ ...rest, besideLogits: helpfulLogits, beside: { alpha: 0.4 } }),
        gateLayersStep({ ...rest, layersLogits: helpfulLogits, alpha: 0.4 }),
      );
    }
  });
});

test('a step without what the experts themselves say is the same step', () => {
  for (const [i, shape] of Object.values(SHAPES).entries()) {
    const { safetyLogits, helpfulLogits } = longRows(TOKENS, i);
    const input = {
      safetyLogits,
      besideLogits: helpfulLogits,
      beside: { proposal: 0.3 },
      policy: { ...OPEN_POLICY, budget: 0.4 },
      sampling: { ...shape, key: seedKey(i) },
      state: startGate(),
    };
    const { logprobSafety, logprobHelpful, ...step } = fast.step({ ...input, ownLogprobs: false })!;
    expect([logprobSafety, logprobHelpful]).toEqual([LOG_ZERO, LOG_ZERO]);
    expect(fast.step(input)).toMatchObject(step);
  }
});

/** The fast version did it itself, and agrees up to rounding. */
function expectSame(step: GateStep | null, expected: GateStep): void {
  expect(step).not.toBeNull();
  const { token, weight, floor, logprob, spent, logprobSafety, logprobHelpful, top } = step!;
  expect({ token, weight, floor }).toEqual({ token: expected.token, weight: expected.weight, floor: expected.floor });
  expect(logprob).toBeCloseTo(expected.logprob, 10);
  expect(spent).toBeCloseTo(expected.spent, 10);
  // float32 exponentials
  expect(logprobSafety).toBeCloseTo(expected.logprobSafety, 6);
  expect(logprobHelpful).toBeCloseTo(expected.logprobHelpful, 6);
  expect(top?.map(({ token }) => token)).toEqual(expected.top?.map(({ token }) => token));
  for (const [i, { logprob }] of (top ?? []).entries()) expect(logprob).toBeCloseTo(expected.top![i]!.logprob, 10);
}

test('nothing of a step is left in the next, whatever the vocabularies', () => {
  const gate = createGate();
  const steps = (gateOf: () => typeof gate) =>
    [5003, 70, 64, 1, 6000, 128, 5003].map((tokens, i) => {
      const sampling = [SHAPES['a bias']!, SHAPES['top-k 40']!, SHAPES['one block']!, SHAPES.greedy!][i % 4]!;
      const rest = { policy: { ...OPEN_POLICY, budget: 0.3 }, proposal: 0.2, state: startGate() };
      const asked = tokens < 700 ? { temperature: 1, topP: 1 } : sampling;
      return gateOf().step({ ...longRows(tokens, i), ...rest, sampling: { ...asked, key: seedKey(i) } });
    });
  expect(steps(() => gate)).toEqual(steps(() => createGate()));
});

test('its memory is used again, and grows only for a larger vocabulary', () => {
  const own = loadKernel() as Kernel;
  const gate = createGate(own);
  const bytes = (tokens: number) => {
    const rows = longRows(tokens, 1);
    const rest = { policy: OPEN_POLICY, proposal: 0.2, state: startGate() };
    for (const shape of Object.values(SHAPES)) gate.step({ ...rows, ...rest, sampling: { ...shape, key: seedKey(1) } });
    return own.run.memory.buffer.byteLength;
  };
  const [small, large] = [bytes(5003), bytes(20_000)];
  expect(small).toBeLessThan(large);
  expect(bytes(5003)).toBe(large);
  expect(bytes(20_000)).toBe(large);
  expect(large).toBeLessThan(20_000 * 50 + 2 * 65_536);
});

describe('leaves to the plain version', () => {
  const { safetyLogits, helpfulLogits } = longRows(200, 'plain');
  const input: FastInput = {
    safetyLogits,
    besideLogits: helpfulLogits,
    beside: { proposal: 0.3 },
    policy: OPEN_POLICY,
    sampling: { temperature: 1, topP: 1, key: seedKey(1) },
    state: startGate(),
  };
  const { sampling } = input;
  const apart = (gap: number) => safetyLogits.map((x, i) => (i < 100 ? x : x - gap));
  const cases: [string, Partial<Record<keyof FastInput, unknown>>][] = [
    ['no safety row', { safetyLogits: null }],
    ['an empty safety row', { safetyLogits: new Float32Array(0), besideLogits: null }],
    ['a NaN in the safety row', { safetyLogits: safetyLogits.with(150, NaN) }],
    ['a NaN in the last place', { safetyLogits: safetyLogits.with(199, NaN) }],
    ['a +Infinity in the other row', { besideLogits: helpfulLogits.with(0, Infinity) }],
    ['a row without a token', { besideLogits: helpfulLogits.map(() => -Infinity) }],
    ['a shorter row', { besideLogits: helpfulLogits.subarray(1) }],
    ['a temperature next to 0', { sampling: { ...sampling, temperature: 1e-9 } }],
    ['a temperature beyond all use', { sampling: { ...sampling, temperature: 1e9 } }],
    ['a bias beyond the doubles', { sampling: { ...sampling, bias: new Map([[1, 1000]]) } }],
    [
      'a mask of all but impossible tokens',
      { safetyLogits: apart(900), sampling: { ...sampling, mask: new Set(Array(100).keys()) } },
    ],
    ['experts with next to nothing in common', { safetyLogits: apart(2000), besideLogits: apart(-2000) }],
    [
      'experts with nothing in common',
      { safetyLogits: apart(Infinity), besideLogits: helpfulLogits.map((x, i) => (i < 100 ? -Infinity : x)) },
    ],
  ];
  test.each(cases)('%s', (_, changes) => {
    expect(fast.solve({ ...input, ...changes } as FastInput)).toBeNull();
  });

  test('a large budget over masses that no double holds', () => {
    const policy = { ...OPEN_POLICY, budget: 1000 };
    expect(fast.solve({ ...input, safetyLogits: apart(900), policy, beside: { proposal: 0 } })).toBeNull();
    expect(fast.solve({ ...input, policy, beside: { proposal: 0 } })).not.toBeNull();
  });

  test('nothing of what ordinary requests ask for', () => {
    let left = 0;
    fc.assert(
      fc.property(
        arbitrary.rows({ masks: false }),
        arbitrary.policy,
        arbitrary.sampling,
        arbitrary.share,
        (rows, policy, sampling, proposal) => {
          const { safetyLogits, helpfulLogits: besideLogits } = rows;
          if (!fast.solve({ safetyLogits, besideLogits, beside: { proposal }, policy, sampling, state: startGate() }))
            left++;
        },
      ),
      { numRuns: 500 },
    );
    expect(left).toBe(0);
  });
});

test('without a kernel, the gate is the plain one', () => {
  const gate = createGate(null);
  expect(gate).toEqual({ step: gateStep, layersStep: gateLayersStep, helpfulStep: gateHelpfulStep });
});
