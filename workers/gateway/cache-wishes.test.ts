import { expect, test } from 'vitest';
import { readCacheWishes } from './cache-wishes.ts';

const ANY = Number.POSITIVE_INFINITY;

test.each([
  [undefined, { mayReuse: true, mayKeep: true, maxAgeMs: ANY }],
  ['', { mayReuse: true, mayKeep: true, maxAgeMs: ANY }],
  ['no-cache', { mayReuse: false, mayKeep: true, maxAgeMs: ANY }],
  ['No-Store', { mayReuse: false, mayKeep: false, maxAgeMs: ANY }],
  ['max-age=60', { mayReuse: true, mayKeep: true, maxAgeMs: 60_000 }],
  ['max-age="60", no-transform', { mayReuse: true, mayKeep: true, maxAgeMs: 60_000 }],
  ['max-age=soon', { mayReuse: true, mayKeep: true, maxAgeMs: 0 }],
  ['of-the-future , no-cache', { mayReuse: false, mayKeep: true, maxAgeMs: ANY }],
])('%j', (header, wishes) => {
  expect(readCacheWishes(header)).toEqual(wishes);
});
