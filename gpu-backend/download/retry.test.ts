import { expect, test, vi } from 'vitest';
import { retryAfterMs, TransientError, withRetries } from './retry.ts';

const NOW = Date.UTC(2026, 0, 1);

test.each([
  [null, null],
  ['0', 0],
  ['12', 12_000],
  ['Thu, 01 Jan 2026 00:00:30 GMT', 30_000],
  ['Wed, 31 Dec 2025 00:00:00 GMT', 0],
  ['soon', null],
])('Retry-After %s', (header, ms) => expect(retryAfterMs(header, NOW)).toBe(ms));

test('returns the value of the first attempt that succeeds', async () => {
  const sleep = vi.fn(async () => {});
  let calls = 0;
  const attempt = async () => {
    calls++;
    if (calls < 3) throw new TransientError('busy');
    return calls;
  };
  expect(await withRetries(attempt, { sleep, random: () => 0, note: () => {} })).toBe(3);
  expect(sleep.mock.calls).toEqual([[500], [1000]]);
});

test('throws at once if the error is not temporary', async () => {
  const sleep = vi.fn(async () => {});
  const attempt = () => Promise.reject(new Error('no such thing'));
  await expect(withRetries(attempt, { sleep, random: () => 0, note: () => {} })).rejects.toThrow('no such thing');
  expect(sleep).not.toHaveBeenCalled();
});
