import { expect, test, vi } from 'vitest';
import { createPacer } from './pace.ts';

function* slices(...work: number[]): Generator<number, string, void> {
  for (const each of work) yield each;
  return 'done';
}

test('pauses whenever enough work has come together, and not before', async () => {
  const pause = vi.fn(async () => {});
  const pacer = createPacer({ most: 10, pause });
  expect(await pacer.drive(slices(3, 3, 3))).toBe('done');
  expect(pause).toHaveBeenCalledTimes(0);
  // Work goes on counting from text to text.
  await pacer.drive(slices(1, 9, 1, 25));
  expect(pause).toHaveBeenCalledTimes(3);
});

test('others get their turn in a pause', async () => {
  const order: string[] = [];
  const long = createPacer({ most: 1 })
    .drive(slices(1, 1, 1))
    .then(() => order.push('long'));
  setTimeout(() => order.push('other'), 0);
  await long;
  expect(order).toEqual(['other', 'long']);
});

test('what the slices throw comes out', async () => {
  const failing = (function* (): Generator<number, never, void> {
    yield 1;
    throw new Error('broken');
  })();
  await expect(createPacer({ most: 1 }).drive(failing)).rejects.toThrow('broken');
});
