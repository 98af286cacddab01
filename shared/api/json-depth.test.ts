import { expect, test } from 'vitest';
import { isDeeperThan } from './json-depth.ts';

test.each<[string, boolean]>([
  ['[[1]]', false],
  ['[[[1]]]', true],
  ['{"a": {"b": [1]}}', true],
  ['[[], [], {}, [{}]]', true],
  ['[[], [], {}]', false],
  ['["[[[["]', false],
  [JSON.stringify(['"[[[', '\\', { '{"[[': '\\"{{{' }]), false],
  [JSON.stringify([{ '\\': [] }]), true],
  ['null', false],
])('%s: deeper than 2 is %s', (json, expected) => {
  expect(isDeeperThan(2, json)).toBe(expected);
});
