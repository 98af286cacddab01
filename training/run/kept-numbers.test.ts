import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runOf } from '../stages/folder-kinds.ts';
import { keptFolder, keptNumbers, rowsDigest } from './kept-numbers.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-kept-'));
});
afterEach(() => rm(dir, { recursive: true }));

const open = (key: Record<string, string>, count = 3) => keptNumbers(dir, { what: 'logprobs', key, count });
const unknown = [Number.NaN, Number.NaN, Number.NaN];

test('what was saved is there for the same key, half of it too, and not for another one', () => {
  const first = open({ base: 'a', rows: 'r' });
  expect([...first.values]).toEqual(unknown);
  first.values.set([-1.5, -2]);
  first.save();
  expect([...open({ base: 'a', rows: 'r' }).values]).toEqual([-1.5, -2, Number.NaN]);
  expect([...open({ base: 'b', rows: 'r' }).values]).toEqual(unknown);
  expect([...open({ base: 'a', rows: 'r' }, 2).values]).toEqual([Number.NaN, Number.NaN]);
});

test('a damaged file is computed anew and replaced', async () => {
  const first = open({ base: 'a' });
  first.values.set([1, 2, 3]);
  first.save();
  const [name] = await readdir(dir);
  const file = path.join(dir, name!);
  const bytes = await readFile(file);
  const flipped = Buffer.from(bytes);
  flipped[flipped.length - 1]! ^= 1;
  for (const damaged of [bytes.subarray(0, 40), bytes.subarray(0, -1), flipped, '{}', '{}\n', '\n', '']) {
    await writeFile(file, damaged);
    expect([...open({ base: 'a' }).values], damaged.toString()).toEqual(unknown);
  }
  const again = open({ base: 'a' });
  again.values.set([4, 5, 6]);
  again.save();
  expect([...open({ base: 'a' }).values]).toEqual([4, 5, 6]);
});

test('runs in one folder share their numbers', () => {
  const runs = path.join(dir, 'runs');
  expect(keptFolder(path.join(runs, 'safety'))).toBe(path.join(runs, 'kept-numbers'));
  expect(keptFolder(`${path.join(runs, 'helpfulness')}/`)).toBe(path.join(runs, 'kept-numbers'));
});

test('a run keeps its numbers in its own folder if there is no writing beside it', async () => {
  const run = path.join(dir, 'runs/safety');
  await mkdir(run, { recursive: true });
  // Unlike permissions, a file in its place also stops a superuser.
  await writeFile(path.join(dir, 'runs/kept-numbers'), '');
  expect(keptFolder(run)).toBe(path.join(run, 'kept-numbers'));
  // A stage that was stopped before its first step has left nothing but these.
  expect(runOf('expert').isOurs(run)).toBe(true);
  await writeFile(path.join(run, 'notes.txt'), 'mine');
  expect(runOf('expert').isOurs(run)).toBe(false);
});

test('the digest of rows depends on every id and weight', () => {
  const rows = [{ ids: [1, 2], weights: [0, 1] }];
  const digests = [
    rowsDigest(rows),
    rowsDigest([{ ids: [1, 3], weights: [0, 1] }]),
    rowsDigest([{ ids: [1, 2], weights: [1, 1] }]),
    rowsDigest([...rows, ...rows]),
  ];
  expect(new Set(digests).size).toBe(digests.length);
  expect(rowsDigest(rows)).toBe(rowsDigest(rows.map((row) => ({ ...row, weights: Float32Array.from(row.weights) }))));
});
