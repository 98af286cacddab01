import { beforeEach, expect, test, vi } from 'vitest';
import type { Running } from './start-process.ts';
import { supervise } from './supervise.ts';

const slept: number[] = [];
let nowMs = 0;
/** A fake clock. No wait takes longer than one turn of the event loop. */
const time = {
  now: () => nowMs,
  sleep: async (ms: number, signal: AbortSignal) => {
    slept.push(ms);
    await turn();
    signal.throwIfAborted();
  },
};
beforeEach(() => {
  slept.length = 0;
});

/** A process that ends when the test says so. */
function scripted() {
  const ended = Promise.withResolvers<string>();
  const running: Running = { pid: 1, ended: ended.promise, kill: vi.fn(() => ended.resolve('signal SIGKILL')) };
  return { running, end: ended.resolve };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
async function turns(count: number) {
  for (let i = 0; i < count; i++) await turn();
}

test('restarts a process that ends, with growing delays that are reset after a long run', async () => {
  const stop = new AbortController();
  const log: string[] = [];
  let current = scripted();
  const start = vi.fn(async () => {
    current = scripted();
    return current.running;
  });
  const { ready, closed } = supervise('it', { ...time, start, signal: stop.signal, log: (line) => log.push(line) });
  await ready;
  for (let round = 0; round < 6; round++) {
    current.end('code 1');
    await turns(5);
  }
  expect(slept).toEqual([500, 1000, 2000, 4000, 8000, 10_000]);
  expect(start).toHaveBeenCalledTimes(7);
  expect(log[0]).toBe('it ended (code 1); starting it again in 0.5 s');

  nowMs += 60_000;
  current.end('code 1');
  await turns(5);
  expect(slept.at(-1)).toBe(500);

  stop.abort();
  current.end('code 0');
  await closed;
});

test('reports a failed first start and does not retry it, but retries a later one', async () => {
  const stop = new AbortController();
  const log: string[] = [];
  const options = { ...time, signal: stop.signal, log: (line: string) => log.push(line) };
  const failing = supervise('it', { ...options, start: () => Promise.reject(new Error('no such bundle')) });
  await expect(failing.ready).rejects.toThrow('it did not start: no such bundle');
  await failing.closed;

  const processes = [scripted(), scripted()];
  const start = vi
    .fn<() => Promise<Running>>()
    .mockResolvedValueOnce(processes[0]!.running)
    .mockRejectedValueOnce(new Error('not yet'))
    .mockResolvedValueOnce(processes[1]!.running);
  const later = supervise('it', { ...options, start });
  await later.ready;
  processes[0]!.end('signal SIGSEGV');
  await turns(8);
  expect(log).toEqual([
    'it ended (signal SIGSEGV); starting it again in 0.5 s',
    'it did not start (not yet); trying again in 1 s',
  ]);
  stop.abort();
  processes[1]!.end('code 0');
  await later.closed;
});

test('kills and restarts a process that fails three checks in a row', async () => {
  const stop = new AbortController();
  const log: string[] = [];
  const processes = [scripted(), scripted()];
  let answers = [true, false, false, true, false, false, false];
  const start = vi.fn(async () => processes[start.mock.calls.length - 1]!.running);
  const { ready, closed } = supervise('it', {
    ...time,
    start,
    check: async () => {
      const [answer = true, ...rest] = answers;
      answers = rest;
      if (!answer) throw new Error('timeout');
    },
    signal: stop.signal,
    log: (line) => log.push(line),
  });
  await ready;
  await turns(30);
  expect(processes[0]!.running.kill).toHaveBeenCalledOnce();
  expect(log).toEqual(['it ended (signal SIGKILL, as it no longer answered); starting it again in 0.5 s']);
  stop.abort();
  processes[1]!.end('code 0');
  await closed;
});
