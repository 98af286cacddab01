import { expect, test } from 'vitest';
import { collectGarbage } from './collect-garbage.ts';

test('gives back what nobody holds any more', () => {
  let held: object[] | null = Array.from({ length: 500_000 }, (_, i) => ({ i }));
  const before = process.memoryUsage().heapUsed;
  expect(held.length).toBe(500_000);
  held = null;
  collectGarbage();
  expect(before - process.memoryUsage().heapUsed).toBeGreaterThan(500_000 * 8);
});
