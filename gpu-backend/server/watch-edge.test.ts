import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ERROR_CODES, type PlimsollError } from '#shared/api/errors.ts';
import { HERE_EVERY_MS } from '#shared/protocol/expert-messages.ts';
import { watchEdge } from './watch-edge.ts';

beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => vi.useRealTimers());

function watched() {
  const gone: PlimsollError[] = [];
  return { gone, edge: watchEdge({ onGone: (why) => gone.push(why) }) };
}

test('an edge that says now and then that it is here keeps its row', async () => {
  const { gone, edge } = watched();
  edge.opened();
  for (let i = 0; i < 20; i++) {
    await vi.advanceTimersByTimeAsync(HERE_EVERY_MS);
    edge.isHere();
  }
  expect(gone).toEqual([]);
  edge.stop();
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect(gone).toEqual([]);
});

test('one that says nothing loses it after a minute, and may ask again', async () => {
  const { gone, edge } = watched();
  edge.opened();
  await vi.advanceTimersByTimeAsync(59_000);
  expect(gone).toEqual([]);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(gone.map(({ code }) => ERROR_CODES[code].retry)).toEqual([true]);
});

test('one that does not even open does so after ten seconds', async () => {
  const { gone } = watched();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(gone).toHaveLength(1);
});

test('one that is here but takes no token for ten minutes loses it too, and may ask again', async () => {
  const { gone, edge } = watched();
  edge.opened();
  for (let minute = 0; minute < 19; minute++) {
    if (minute === 9) edge.took();
    for (let i = 0; i < 4; i++) {
      await vi.advanceTimersByTimeAsync(HERE_EVERY_MS);
      edge.isHere();
    }
    expect(gone).toHaveLength(minute === 18 ? 1 : 0);
  }
  // The breaker counts nothing against a backend that has done this.
  expect(gone[0]!.code).toBe('overloaded');
});
