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

test('one that is here but takes no token for a minute loses it too, and may ask again', async () => {
  const { gone, edge } = watched();
  edge.opened();
  const waits = async (ms: number) => {
    for (let waited = 0; waited < ms; waited += HERE_EVERY_MS) {
      await vi.advanceTimersByTimeAsync(HERE_EVERY_MS);
      edge.isHere();
    }
  };
  // There is nothing to take yet: the prompt waits, or is read.
  await waits(600_000);
  edge.gaveRow();
  await waits(45_000);
  // That the expert runs ahead is no word of the edge.
  edge.gaveRow();
  expect(gone).toEqual([]);
  edge.took();
  await waits(45_000);
  expect(gone).toEqual([]);
  await waits(HERE_EVERY_MS);
  expect(gone).toHaveLength(1);
  // The breaker counts nothing against a backend that has done this.
  expect(gone[0]!.code).toBe('overloaded');
});
