import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { canMeasureMemory, memoryOf, parseStatus, resetPeak } from './process-memory.ts';

test('reads a field in bytes, and refuses a status without it', () => {
  const status = 'Name:\tnode\nVmHWM:\t   2048 kB\nVmRSS:\t     12 kB\n';
  expect(parseStatus(status, 'VmRSS')).toBe(12 * 1024);
  expect(parseStatus(status, 'VmHWM')).toBe(2 * 1024 * 1024);
  expect(() => parseStatus(status, 'VmSwap')).toThrow('found no VmSwap');
});

/** Takes a quarter of a gigabyte, gives it back, and says so. */
const GIVES_BACK = `let big = Buffer.alloc(2 ** 28, 1); big = null; gc(); console.log('given back'); setInterval(() => {}, 1000);`;

test.skipIf(!canMeasureMemory)('a peak lasts until it is reset', async () => {
  // A process of its own: in ours, other tests take and give back memory meanwhile.
  const child = spawn(process.execPath, ['--expose-gc', '-e', GIVES_BACK], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await once(child.stdout, 'data');
    const pid = child.pid!;
    expect((await memoryOf(pid)).peak).toBeGreaterThan(2 ** 28);
    await resetPeak(pid);
    const { peak, resident } = await memoryOf(pid);
    expect(peak).toBeLessThan(2 ** 28);
    // The kernel counts both, and a few pages late.
    expect(peak).toBeGreaterThan(resident - 2 ** 25);
  } finally {
    child.kill();
  }
});
