import { readdirSync, readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { capByBudget } from './cap-by-budget.ts';
import { seedKey } from './draw-key.ts';
import { drawToken } from './draw-token.ts';
import { logSoftmax } from './log-softmax.ts';
import * as arbitrary from './testing/arbitraries.ts';
import { uniformAt } from './uniform-at.ts';

const gated = (logprobs: Float64Array) => capByBudget(logprobs, { reference: logprobs, natsLeft: null });
const quarters = gated(Float64Array.of(0.25, 0.5, 0, 0.25).map(Math.log));

test('u walks through the token ids in order, and a boundary belongs to the token after it', () => {
  const drawn = [0, 0.2, 0.25, 0.74, 0.75, 1 - 2 ** -53].map((u) => drawToken(quarters, u));
  expect(drawn).toEqual([0, 0, 1, 1, 3, 3]);
});

test('never draws a token of probability 0', () => {
  const extremes = fc.constantFrom(0, 2 ** -53, 0.5, 1 - 2 ** -53);
  fc.assert(
    fc.property(
      arbitrary.logitsOf(8),
      fc.oneof(extremes, fc.double({ min: 0, max: 1 - 2 ** -53, noNaN: true })),
      (logits, u) => {
        expect(logits[drawToken(gated(logSoftmax(logits)!), u)]).toBeGreaterThan(-Infinity);
      },
    ),
  );
});

test('draws tokens as often as their probabilities say', () => {
  const p = [0.01, 0.6, 0.09, 0.3];
  const counts = [0, 0, 0, 0];
  const q = gated(Float64Array.from(p, Math.log));
  for (let position = 0; position < 20000; position++) counts[drawToken(q, uniformAt(seedKey(11), position))]! += 1;
  // Chi-squared with 3 degrees of freedom exceeds 25 once in 65,000.
  expect(p.reduce((sum, x, i) => sum + (counts[i]! - x * 20000) ** 2 / (x * 20000), 0)).toBeLessThan(25);
});

test('throws on an unusable row or u', () => {
  for (const q of [gated(Float64Array.of(NaN, 0)), gated(Float64Array.of()), gated(Float64Array.of(-Infinity))]) {
    expect(() => drawToken(q, 0.5)).toThrow(expect.objectContaining({ code: 'distribution_unusable' }));
  }
  for (const u of [NaN, 1]) expect(() => drawToken(quarters, u)).toThrow('u is');
});

test('accepts only distributions that the gate made', () => {
  const row = Float64Array.of(0);
  // @ts-expect-error log-probabilities that never met the gate
  expect(drawToken({ logprobs: row, reference: row }, 0)).toBe(0);
});

test('only the cap and the greedy choice mark a distribution as drawable', () => {
  const sources = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'));
  const makers = sources.filter((name) =>
    readFileSync(`${import.meta.dirname}/${name}`, 'utf8').includes('markAsDrawable'),
  );
  expect(makers).toEqual(['cap-by-budget.ts', 'drawable-distribution.ts', 'greedy-choice.ts']);
});
