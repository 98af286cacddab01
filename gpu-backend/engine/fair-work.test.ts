import { expect, test } from 'vitest';
import { FairWork } from './fair-work.ts';

test('a tenant that comes starts where the one with least work is, so it has no credit for its absence', () => {
  const work = new FairWork();
  work.present(['a', 'b']);
  work.add('a', 500);
  work.add('b', 300);
  work.present(['a', 'b', 'late']);
  expect(work.of('late')).toBe(300);
});

test('a tenant that leaves for a moment keeps its debt, and loses it once the others have caught up', () => {
  const work = new FairWork();
  work.present(['a', 'b']);
  work.add('a', 500);
  work.present(['b']);
  work.add('b', 100);
  work.present(['a', 'b']);
  expect([work.of('a'), work.of('b')]).toEqual([500, 100]);
  work.present(['b']);
  work.add('b', 900);
  work.present(['a', 'b']);
  expect([work.of('a'), work.of('b')]).toEqual([1000, 1000]);
});

test('work that a tenant did while nobody else was there is not held against it', () => {
  const work = new FairWork();
  work.present(['a']);
  work.add('a', 10_000);
  work.present([]);
  work.present(['b']);
  work.present(['a', 'b']);
  expect(work.of('a')).toBe(work.of('b'));
});
