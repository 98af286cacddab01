import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { VerdictStore } from './verdicts.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'plimsoll-verdicts-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const one = { refuses: 1.5, harmful: -2 };
const other = { refuses: -1, harmful: 3, helpful: 0.5 };
const lines = () => readFileSync(path.join(dir, 'verdicts.jsonl'), 'utf8').split('\n').length - 1;

test('verdicts are there for the next store, and each is written once', () => {
  const store = new VerdictStore(dir, ['judges']);
  store.add(new Map([['a', one]]));
  store.add(
    new Map([
      ['a', one],
      ['b', other],
    ]),
  );
  expect(lines()).toBe(3);
  const again = new VerdictStore(dir, ['judges']);
  expect([again.get('a'), again.get('b'), again.get('c')]).toEqual([one, other, undefined]);
});

test('a line that a stop has cut is dropped, and what comes after it is whole', () => {
  new VerdictStore(dir, 1).add(new Map([['a', one]]));
  appendFileSync(path.join(dir, 'verdicts.jsonl'), '{"key":"b","refus');
  const store = new VerdictStore(dir, 1);
  expect(store.get('b')).toBeUndefined();
  store.add(new Map([['c', other]]));
  const again = new VerdictStore(dir, 1);
  expect([again.get('a'), again.get('c')]).toEqual([one, other]);
});

test('verdicts of other judges are thrown away', () => {
  new VerdictStore(dir, { bias: 1 }).add(new Map([['a', one]]));
  expect(new VerdictStore(dir, { bias: 2 }).get('a')).toBeUndefined();
  expect(lines()).toBe(1);
});
