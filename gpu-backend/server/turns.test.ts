import { expect, test } from 'vitest';
import { createTurns } from './turns.ts';

test('one after the other, in order, and what does not fit is refused', async () => {
  const turns = createTurns({ mostWaiting: 2 });
  const done: number[] = [];
  const all = [0, 1, 2, 3].map((i) => turns(() => done.push(i)));
  await expect(all[3]).rejects.toMatchObject({ code: 'overloaded' });
  await Promise.all(all.slice(0, 3));
  expect(done).toEqual([0, 1, 2]);
  expect(await turns(() => 'again')).toBe('again');
});

test('others come to their turn between two, and after one that throws', async () => {
  const turns = createTurns({ mostWaiting: 2 });
  const order: string[] = [];
  const broken = turns(() => {
    order.push('first');
    // Whoever waits for input or output is served before the next.
    setImmediate(() => order.push('another'));
    throw new Error('no');
  });
  const second = turns(() => order.push('second'));
  await expect(broken).rejects.toThrow('no');
  await second;
  expect(order).toEqual(['first', 'another', 'second']);
});
