import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { capMasses } from './cap-masses.ts';
import { drawMasses } from './draw-masses.ts';
import { SparseSupport } from './sparse-support.ts';

/** Tokens 2, 5 and 9 with the same masses in both rows. */
function support(...masses: number[]): SparseSupport {
  const made = new SparseSupport();
  made.cut = true;
  made.ids = Int32Array.of(2, 5, 9);
  made.m = Float64Array.from(masses);
  made.r = Float64Array.from(masses);
  made.size = masses.length;
  return made;
}

const gated = (...masses: number[]) =>
  capMasses(support(...masses), { mixture: 4, reference: 4, natsLeft: null, lost: 0 })!;

test('u walks through the token ids in order, and a boundary belongs to the token after it', () => {
  const drawn = [0, 0.25, 0.74, 0.75, 1 - 2 ** -53].map((u) => drawMasses(gated(1, 2, 1), u));
  expect(drawn).toEqual([2, 5, 5, 9, 9]);
  expect([0, 0.49, 0.5].map((u) => drawMasses(gated(0, 2, 2), u))).toEqual([5, 5, 9]);
});

test('throws on masses that are no distribution, and on a u outside [0, 1)', () => {
  for (const q of [gated(NaN, 1, 1), gated(1, 1, 1), gated(0, 0, 0)]) {
    expect(() => drawMasses(q, 0.9)).toThrow(expect.objectContaining({ code: 'distribution_unusable' }));
  }
  for (const u of [NaN, 1]) expect(() => drawMasses(gated(1, 2, 1), u)).toThrow('u is');
});

test('accepts only masses that the cap made', () => {
  // @ts-expect-error masses that never met the budget
  expect(drawMasses({ support: support(1, 2, 1), recipe: { kind: 'mixture', a: 0.25 } }, 0)).toBe(2);
});

test('only the cap marks masses as drawable, and only the step of the gate draws', () => {
  const sources = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'));
  const using = (word: string) =>
    sources.filter((name) => readFileSync(`${import.meta.dirname}/${name}`, 'utf8').includes(word));
  expect(using('as DrawableMasses')).toEqual(['cap-masses.ts']);
  expect(using('drawMasses(')).toEqual(['draw-masses.ts', 'solved.ts']);
});
