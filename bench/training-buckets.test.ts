import { expect, test } from 'vitest';
import { bucketName, DEFAULT_BUCKETS, parseBuckets } from './training-buckets.ts';

test('a list names rows and their length', () => {
  expect(parseBuckets('2x64,4x32')).toEqual([
    { rows: 2, length: 64 },
    { rows: 4, length: 32 },
  ]);
});

test('the default starts with one pair of long rows', () => {
  expect(parseBuckets(DEFAULT_BUCKETS).map(bucketName)[0]).toBe('2 x 256');
});

test.each([
  '3x64,2x32',
  '2x64x2,2x32',
  '2,2x32',
  '2x1.5,2x32',
  'x,2x32',
  '2x64,',
  ' 2x64,2x32',
  '0x2x64,2x32',
  '2e0x64,2x32',
])('%s is refused', (list) => {
  expect(() => parseBuckets(list)).toThrow(/^--buckets: ".*" is no ROWSxLENGTH/);
});

test('one bucket cannot show what a further one costs', () => {
  expect(() => parseBuckets('2x64')).toThrow('wanted two or more');
});

test('the same bucket twice is refused, because the second costs nothing', () => {
  expect(() => parseBuckets('2x64,4x32,2x064')).toThrow('--buckets: found 2 x 64 twice, wanted each bucket once');
});
