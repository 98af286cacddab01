import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { inCanary } from './canary.ts';

const hash = fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: 64, maxLength: 64 });
const share = fc.double({ min: 0, max: 1, noNaN: true });

test('whoever is in at one share is in at every larger share', () => {
  fc.assert(
    fc.property(hash, share, share, (request, a, b) => {
      if (inCanary(request, Math.min(a, b))) expect(inCanary(request, Math.max(a, b))).toBe(true);
    }),
  );
});

test('a share of 0 is nobody, and a share of 1 is everybody', () => {
  fc.assert(
    fc.property(fc.oneof(hash, fc.constantFrom('0'.repeat(64), 'f'.repeat(64))), (request) => {
      expect([inCanary(request, 0), inCanary(request, 1)]).toEqual([false, true]);
    }),
  );
});

test('a share is that share of the requests', async () => {
  const hashes = await Promise.all(Array.from({ length: 4000 }, (_, i) => sha256Hex(`request ${i}`)));
  for (const part of [0.05, 0.3, 0.5]) {
    const found = hashes.filter((each) => inCanary(each, part)).length / hashes.length;
    // Four standard deviations of a binomial share.
    expect(Math.abs(found - part)).toBeLessThan(4 * Math.sqrt((part * (1 - part)) / hashes.length));
  }
});

test.each([
  ['no hash', '', 0.5],
  ['not hex', 'request-0123456789', 0.5],
  ['a share above 1', '0'.repeat(64), 1.1],
  ['a share that is no number', '0'.repeat(64), Number.NaN],
])('%s is an error and not an answer', (_name, request, part) => {
  expect(() => inCanary(request, part)).toThrow(RangeError);
});
