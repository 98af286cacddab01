import { expect, test } from 'vitest';
import { parseCpuMs } from './process-time.ts';

test('reads user and system time, whatever the process is called', () => {
  const stat = '7 (a) b) 1) S 1 7 7 0 -1 4194304 100 0 0 0 25 17 3 4 20 0 1 0 9 1 2 3';
  expect(parseCpuMs(stat)).toBe(420);
  expect(() => parseCpuMs('7 (x) S 1')).toThrow('found no CPU time');
});
