/** What a second look reads of a prompt, window by window, and what it makes of it. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { JUDGEMENTS } from '#shared/line/categories.ts';
import { lookCategories } from '#shared/protocol/second-look.ts';
import { lookAt, lookSpans, windowsOf } from './second-look.ts';
import { hate, probe, violence, WINDOW } from './testing/looked-answers.ts';

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

describe('the windows of a message', () => {
  test('have at most so many tokens, cover all of it, and the last one is full', () => {
    fc.assert(
      fc.property(
        fc.nat(50),
        fc.integer({ min: 1, max: 60 }),
        fc.nat(5),
        fc.integer({ min: 1, max: 20 }),
        (from, length, more, window) => {
          const to = from + length;
          const windows = windowsOf([{ from, to, last: to + more }], window);
          const covered = new Set(windows.flatMap((w) => Array.from({ length: w.to - w.from }, (_, i) => w.from + i)));
          expect([...covered].sort((a, b) => a - b)).toEqual(Array.from({ length }, (_, i) => from + i));
          for (const w of windows) expect(w.to - w.from).toBe(Math.min(window, length));
          expect(windows.map(({ last }) => last)).toEqual([...windows.slice(0, -1).map((w) => w.to - 1), to + more]);
          expect(windows).toHaveLength(Math.ceil(length / window));
        },
      ),
    );
  });

  test('join short neighbours where there are very many, so a long prompt has few and nothing is left out', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ length: fc.integer({ min: 1, max: 9 }), gap: fc.nat(4) }), {
          minLength: 65,
          maxLength: 400,
        }),
        fc.integer({ min: 1, max: 32 }),
        (parts, window) => {
          let at = 0;
          const messages = parts.map(({ length, gap }) => {
            const from = at;
            at += length + gap;
            return { from, to: from + length, last: from + length - 1 + gap };
          });
          const windows = windowsOf(messages, window);
          expect(windows.length).toBeLessThanOrEqual(Math.max(64, Math.ceil((2 * at) / window) + 1));
          const covered = new Set(windows.flatMap((w) => Array.from({ length: w.to - w.from }, (_, i) => w.from + i)));
          for (const { from, to } of messages) for (let i = from; i < to; i++) expect(covered.has(i)).toBe(true);
          for (const w of windows) {
            expect(w.to - w.from).toBeLessThanOrEqual(window);
            expect(w.last).toBeGreaterThanOrEqual(w.to - 1);
          }
          expect(windows.at(-1)!.last).toBe(at - 1);
        },
      ),
    );
  });

  test('stay apart, message by message, in any common conversation', () => {
    const messages = Array.from({ length: 64 }, (_, i) => ({ from: 2 * i, to: 2 * i + 1, last: 2 * i + 1 }));
    expect(windowsOf(messages, 8)).toEqual(messages);
  });

  test.each([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN, 1e39])(
    'count as certain if a state is %d',
    (state) => {
      const windows = windowsOf([{ from: 0, to: 1, last: 0 }], WINDOW);
      for (const sign of [1, -1]) {
        const turned = { ...probe, weight: probe.weight.map(() => sign) };
        const sums = lookSpans(windows, turned).map(() => Float32Array.of(state));
        expect(lookAt(turned, windows, sums)).toEqual(JUDGEMENTS.map(() => Number.NaN));
        expect(lookCategories(lookAt(turned, windows, sums)).every(({ probability }) => probability === 1)).toBe(true);
      }
    },
  );

  test('are judged each by itself, by the definition, and the strictest counts', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: -4, max: 4, noNaN: true }), { minLength: 1, maxLength: 30 }), (numbers) => {
        const windows = windowsOf([{ from: 0, to: numbers.length, last: numbers.length - 1 }], WINDOW);
        const sums = lookSpans(windows, probe).map(({ from, to }) =>
          Float32Array.of(numbers.slice(from, to).reduce((sum, x) => sum + x, 0)),
        );
        const found = lookAt(probe, windows, sums);
        const means = windows.map(({ from, to }) => numbers.slice(from, to).reduce((a, b) => a + b) / (to - from));
        expect(found[violence]).toBeCloseTo(Math.max(...means.map(sigmoid)), 5);
        expect(found[hate]).toBeCloseTo(Math.max(...windows.map(({ last }) => sigmoid(numbers[last]!))), 5);
      }),
    );
  });

  test('a state that is missing or not a number makes every judgement unknown', () => {
    const windows = windowsOf([{ from: 0, to: 6, last: 5 }], WINDOW);
    const fine = lookSpans(windows, probe).map(() => Float32Array.of(0));
    expect(lookAt(probe, windows, fine)[violence]).toBe(0.5);
    for (const wrong of [null, Float32Array.of(Number.NaN), undefined]) {
      for (const i of fine.keys()) {
        // The last case: fewer sums than were asked for.
        const sums = wrong === undefined ? fine.slice(0, i) : fine.map((sum, j) => (j === i ? wrong : sum));
        expect(lookAt(probe, windows, sums).every(Number.isNaN)).toBe(true);
      }
    }
    expect(lookAt(probe, [], []).every(Number.isNaN)).toBe(true);
  });
});
