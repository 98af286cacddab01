import { expect, test } from 'vitest';
import { EventQueue } from './event-queue.ts';

async function read<T>(queue: EventQueue<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of queue) items.push(item);
  return items;
}

test('gives every item in order until it ends, whether pushed before or after its reader came', async () => {
  const queue = new EventQueue<number>();
  queue.push(1, 2);
  const reading = read(queue);
  await Promise.resolve();
  queue.push(3);
  await new Promise((resolve) => setImmediate(resolve));
  queue.push(4);
  queue.end();
  expect(await reading).toEqual([1, 2, 3, 4]);
});

test('gives the items pushed before a failure, then the error', async () => {
  const queue = new EventQueue<number>();
  queue.push(1);
  queue.fail(new Error('broken'));
  queue.push(2);
  const reader = queue[Symbol.asyncIterator]();
  expect(await reader.next()).toEqual({ done: false, value: 1 });
  await expect(reader.next()).rejects.toThrow('broken');
});

test('wakes a waiting reader when it fails', async () => {
  const queue = new EventQueue<number>();
  const reading = read(queue);
  await new Promise((resolve) => setImmediate(resolve));
  queue.fail(new Error('broken'));
  await expect(reading).rejects.toThrow('broken');
});

test('ignores items and errors once it has ended', async () => {
  const queue = new EventQueue<number>();
  queue.end();
  queue.push(1);
  queue.fail(new Error('too late'));
  expect(await read(queue)).toEqual([]);
});

test('keeps its first error', async () => {
  const queue = new EventQueue<number>();
  queue.fail(new Error('first'));
  queue.fail(new Error('second'));
  await expect(read(queue)).rejects.toThrow('first');
});
