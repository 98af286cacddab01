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

const always = async (error: Error, then = error) => {
  let calls = 0;
  const notes: string[] = [];
  const attempt = () => Promise.reject(calls++ === 0 ? error : then);
  const retrying = { sleep: async () => {}, random: () => 0, note: (line: string) => void notes.push(line) };
  const failure = await withRetries(attempt, retrying).catch((thrown: Error) => thrown.message);
  return { calls, notes: notes.length, failure };
};
const unreachable = new TransientError('no such name', { unreachable: true });

test('a server that cannot be reached gets one more try, in silence', async () => {
  expect(await always(unreachable)).toEqual({ calls: 2, notes: 0, failure: 'no such name' });
});

test('a server that was reached before gets all tries, because the network may come back', async () => {
  const all = { calls: 6, notes: 5, failure: 'no such name (6 attempts)' };
  expect(await always(new TransientError('cut'), unreachable)).toEqual(all);
});
