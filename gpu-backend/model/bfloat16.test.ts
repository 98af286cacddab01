import { expect, test } from 'vitest';
import { decodeBfloat16 } from './bfloat16.ts';

/** By the definition: a sign, eight bits of exponent with bias 127, seven of fraction. */
function slowBfloat16(brain: number): number {
  const sign = brain & 0x8000 ? -1 : 1;
  const exponent = (brain >> 7) & 0xff;
  const fraction = (brain & 0x7f) / 128;
  if (exponent === 255) return fraction === 0 ? sign * Infinity : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -126 : sign * (1 + fraction) * 2 ** (exponent - 127);
}

test('decodes all 65,536 values as the definition says', () => {
  const brains = Uint16Array.from({ length: 65_536 }, (_, i) => i);
  expect(decodeBfloat16(brains)).toEqual(Float32Array.from(brains, slowBfloat16));
});
