import { expect, test } from 'vitest';
import { runChaos } from './run-chaos.ts';

test('streams under random kills lose no token, double none, and end well', async () => {
  const result = await runChaos({ streams: 60, requests: 20, open: 8, backends: 3, seed: 7 });
  expect(result).toMatchObject({ streams: 60, lost: 0, doubled: 0, wrong: 0, faults: [] });
  // It would say nothing if nothing had happened.
  expect(result.kills + Object.values(result.damages).reduce((sum, times) => sum + times, 0)).toBeGreaterThan(0);
  expect(result.resumed).toBeGreaterThan(0);
});
