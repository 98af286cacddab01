import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Preference } from '../data/rows.ts';
import { LETTERS } from '../testing/letter-tokenizer.ts';
import { TINY } from '../testing/tiny-model.ts';
import type { BaseModel } from './base-model.ts';
import { DUAL_PAIRS } from './folder-kinds.ts';
import { holdsDualPairs, rankStage, readDualPairs } from './rank.ts';
import type { TrainedScorer } from './scorer.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-rank-'));
});
afterEach(() => rm(dir, { recursive: true }));

// The cast is safe: the stage uses only these parts of the base.
const baseOf = (digest: string) =>
  ({
    dir: digest,
    digest,
    config: { ...TINY, max_position_embeddings: 64 },
    tokenizer: { digest: 'letters' },
  }) as BaseModel;
const base = baseOf('base');

/**
 * Scores every answer as safe and the first one as better. Gives no score to pairs that do not fit.
 */
const scorer = (kind: TrainedScorer['kind'], note: (what: string) => void = () => {}): TrainedScorer => ({
  kind,
  dir: kind,
  digest: `${kind} of a run`,
  score: async (pairs) => {
    note(`${kind} scores`);
    const fits = pairs.flatMap(({ chosen, rejected }, item) =>
      Math.max(chosen.ids.length, rejected.ids.length) > 64 ? [] : [item],
    );
    return new Map(fits.map((item) => [item, [-1, -2]]));
  },
  release: async () => note(`${kind} is released`),
});
const MODELS = { reward: scorer('reward'), cost: scorer('cost') };
const pair = (content: string, responses: [string, string]): Preference => ({
  prompt: [{ role: 'user', content }],
  responses,
  better: 0,
  safer: null,
  source: 'test',
});
const faulty = [
  pair('how?', ['same', 'same ']),
  pair('how? '.repeat(20), ['a', 'b']),
  pair('how?', ['a', 'b'.repeat(80)]),
  pair(' ', ['a', 'b']),
];
const usable = pair('how?', ['well', 'badly']);
const rank = (
  train: Preference[],
  options: { labelled?: number; base?: BaseModel; note?: (what: string) => void } = {},
) => {
  const { labelled, note } = options;
  const models = { reward: scorer('reward', note), cost: { ...scorer('cost', note), labelled }, tokenizer: LETTERS };
  return rankStage({ ...models, base, ...options, train, heldOut: [usable], definition: 'figure', out: dir });
};
const written = () => readFile(path.join(dir, 'train.jsonl'), 'utf8');
const leftOut = {
  'with an empty prompt': 1,
  'with equal answers': 1,
  'with a prompt longer than the context': 1,
  'with an answer that does not fit the context': 1,
};

test('leaves out pairs that cannot be judged, and counts them by reason', async () => {
  const { train, heldOut } = await rank([...faulty, usable]);
  expect(train).toEqual({ read: 5, kept: 1, leftOut });
  expect(heldOut).toMatchObject({ read: 1, kept: 1 });
  const [line, ...more] = (await written()).split('\n');
  expect(JSON.parse(line!)).toMatchObject({ response_0: 'well', better: 0 });
  expect(more).toEqual(['']);
});

test('if no pair is left, fails and keeps the files of an earlier run', async () => {
  await rank([usable]);
  await expect(rank(faulty)).rejects.toThrow(
    `rank: none of 4 pairs for train.jsonl is left under the definition figure: ${JSON.stringify(leftOut)}`,
  );
  expect(await readDualPairs(dir, base)).toMatchObject({ train: [{ responses: ['well', 'badly'] }] });
});

test('refuses a cost model that does not know what is safe', async () => {
  await expect(rank([pair('how?', ['a', 'b'])], { labelled: 0 })).rejects.toThrow('costs below 0 do not mean safe');
  expect(await rank([pair('how?', ['a', 'b'])], { labelled: 4 })).toMatchObject({ train: { kept: 1 } });
});

test('has only one of the two models in memory at a time', async () => {
  const told: string[] = [];
  await rank([usable], { note: (what) => told.push(what) });
  const [cost, reward] = (['cost', 'reward'] as const).map((kind) => [
    ...Array(2).fill(`${kind} scores`),
    `${kind} is released`,
  ]);
  expect(told).toEqual([...cost!, ...reward!]);
});

test('writes nothing before all pairs are ranked, so that the same command can run once more', async () => {
  const failing = { ...scorer('reward'), score: () => Promise.reject(new Error('killed')) };
  const models = { reward: failing, cost: scorer('cost'), base, tokenizer: LETTERS };
  const sides = { train: [usable], heldOut: [usable] };
  await expect(rankStage({ ...models, ...sides, definition: 'figure', out: dir })).rejects.toThrow('killed');
  expect(await readdir(dir)).toEqual([]);
});

test("pairs of an earlier base are not taken for the new one's after a stop in the middle of writing", async () => {
  await rank([usable]);
  const old = await written();
  await mkdir(path.join(dir, 'train.jsonl.tmp'));
  const other = baseOf('other');
  const changed = pair('why?', ['so', 'no']);
  await expect(rank([changed], { base: other })).rejects.toThrow();
  expect(await written()).toBe(old);
  await expect(readDualPairs(dir, other)).rejects.toThrow(
    /train\.jsonl: found SHA-256 [0-9a-f]{64}, rank\.json beside it says [0-9a-f]{64}: .* rank once more with --force/,
  );
  expect(await holdsDualPairs(dir, MODELS)).toBe(false);
  await rm(path.join(dir, 'train.jsonl.tmp'), { recursive: true });
  await rank([changed], { base: other });
  expect(await readDualPairs(dir, other)).toMatchObject({ train: [{ responses: ['so', 'no'] }] });
});

test('a folder with nothing but rank.json is one of the stage, and --force replaces it', async () => {
  await rank([usable]);
  for (const name of ['train.jsonl', 'held-out.jsonl']) await rm(path.join(dir, name));
  expect(DUAL_PAIRS.isOurs(dir)).toBe(true);
  expect(await holdsDualPairs(dir, MODELS)).toBe(false);
  await expect(readDualPairs(dir, base)).rejects.toThrow('found no train.jsonl');
});

test('finished pairs are not taken for those of another cost model', async () => {
  await rank([usable]);
  expect(await holdsDualPairs(dir, MODELS)).toBe(true);
  const others = { ...MODELS, cost: { dir: 'cost', digest: 'a later cost run' } };
  await expect(holdsDualPairs(dir, others)).rejects.toThrow(
    'was trained with another cost run (SHA-256 cost of a run)',
  );
});
