import { expect, test } from 'vitest';
import { choosePrefixBytes } from './choose-prefix-bytes.ts';

const left = { leftBytes: 8 * 2 ** 30, kvBytes: 6 * 2 ** 30, perToken: 46_080 };

test('is an eighth of what is free beside the weights, and says so', () => {
  expect(choosePrefixBytes({ ...left, wanted: null })).toEqual({
    bytes: 2 ** 30,
    reason: 'prefixes of prompts are kept for later requests, in at most 1024 MiB: 23301 tokens of rows',
  });
});

test('is half of what keys and values leave, where that is less', () => {
  expect(choosePrefixBytes({ ...left, kvBytes: 7 * 2 ** 30, wanted: null }).bytes).toBe(2 ** 29);
  expect(choosePrefixBytes({ ...left, kvBytes: 9 * 2 ** 30, wanted: null }).bytes).toBe(0);
  expect(choosePrefixBytes({ ...left, kvBytes: 2 ** 30, wanted: null }).bytes).toBe(2 ** 30);
});

test('is what the operator wants, even if that is nothing', () => {
  expect(choosePrefixBytes({ ...left, wanted: 1_000_000 }).bytes).toBe(1_000_000);
  expect(choosePrefixBytes({ ...left, wanted: 0 })).toEqual({
    bytes: 0,
    reason: 'no prefix of a prompt is kept for later requests',
  });
});

test('is nothing where nothing is free', () => {
  expect(choosePrefixBytes({ ...left, leftBytes: 0, wanted: null }).bytes).toBe(0);
});

test('is an error where there is less memory than is wanted', () => {
  expect(() => choosePrefixBytes({ ...left, wanted: 2 ** 50, totalBytes: 2 ** 34 })).toThrow(
    'PLIMSOLL_PREFIX_CACHE: found 1125899906842624, wanted at most the 17179869184 bytes of this machine',
  );
});
