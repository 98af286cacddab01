import { expect, test } from 'vitest';
import { canMeasureMemory, memoryOf, parseStatus, resetPeak } from './process-memory.ts';

test('reads a field in bytes, and refuses a status without it', () => {
  const status = 'Name:\tnode\nVmHWM:\t   2048 kB\nVmRSS:\t     12 kB\n';
  expect(parseStatus(status, 'VmRSS')).toBe(12 * 1024);
  expect(parseStatus(status, 'VmHWM')).toBe(2 * 1024 * 1024);
  expect(() => parseStatus(status, 'VmSwap')).toThrow('found no VmSwap');
});

test.skipIf(!canMeasureMemory)('a peak lasts until it is reset', async () => {
  const big = 2 ** 27;
  let bytes: Buffer | null = Buffer.alloc(big, 1);
  expect((await memoryOf(process.pid)).resident).toBeGreaterThan(big);
  bytes = null;
  const { peak } = await memoryOf(process.pid);
  expect(peak).toBeGreaterThan(big);
  await resetPeak(process.pid);
  const after = await memoryOf(process.pid);
  // Pages may come and go between the two readings of one status.
  expect(after.peak).toBeLessThan(after.resident + 2 ** 25);
  expect(bytes).toBeNull();
});
