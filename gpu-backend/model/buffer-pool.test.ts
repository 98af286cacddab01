import { expect, test } from 'vitest';
import { BufferPool } from './buffer-pool.ts';

test('a buffer that is given back is taken again for the same size only', () => {
  const pool = new BufferPool();
  const buffer = pool.take(64);
  pool.give(buffer);
  expect(pool.take(32)).not.toBe(buffer);
  expect(pool.take(64)).toBe(buffer);
  expect(pool.take(64)).not.toBe(buffer);
});

test('no more bytes lie unused than the pool is made for', () => {
  const pool = new BufferPool({ most: 100 });
  const [first, second] = [pool.take(60), pool.take(60)];
  pool.give(first);
  pool.give(second);
  expect(pool.take(60)).toBe(first);
  expect(pool.take(60)).not.toBe(second);
  pool.give(second);
  expect(pool.take(60)).toBe(second);
});
