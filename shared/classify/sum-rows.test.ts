import fc from 'fast-check';
import { expect, test } from 'vitest';
import { COLUMNS } from './combine-scores.ts';
import { createSumRows } from './sum-rows.ts';

test('adding four columns at once gives the same sums as adding them one by one', () => {
  const rows = 8;
  const weights = fc.array(fc.integer({ min: -128, max: 127 }), {
    minLength: rows * COLUMNS,
    maxLength: rows * COLUMNS,
  });
  const which = fc.array(fc.nat(rows - 1), { maxLength: 1_200 });
  fc.assert(
    fc.property(weights, which, (list, some) => {
      const sums = [Int8Array.from(list), Float32Array.from(list)].map((matrix) => {
        const out = new Float64Array(COLUMNS).fill(7);
        createSumRows(matrix)(Uint32Array.from(some), out);
        return [...out];
      });
      expect(sums[0]).toEqual(sums[1]);
    }),
  );
});
