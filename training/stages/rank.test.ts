import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Preference } from '../data/rows.ts';
import { LETTERS } from '../testing/letter-tokenizer.ts';
import { TINY } from '../testing/tiny-model.ts';
import type { BaseModel } from './base-model.ts';
import { rankStage } from './rank.ts';
import type { Scorer } from './scorer.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-rank-'));
});
afterAll(() => rm(dir, { recursive: true }));

// The cast is safe: the stage uses only these parts of the base.
const base = { config: { ...TINY, max_position_embeddings: 64 } } as BaseModel;

/**
 * Scores every answer as safe and the first one as better. Gives no score to pairs that do not fit.
 */
const scorer = (kind: Scorer['kind']): Scorer => ({
  kind,
  score: async (pairs) => {
    const fits = pairs.flatMap(({ chosen, rejected }, item) =>
      Math.max(chosen.ids.length, rejected.ids.length) > 64 ? [] : [item],
    );
    return new Map(fits.map((item) => [item, [-1, -2]]));
  },
  release: async () => {},
});
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
const rank = (preferences: Preference[], { labelled }: { labelled?: number } = {}) => {
  const out = path.join(dir, 'dual.jsonl');
  const models = { reward: scorer('reward'), cost: { ...scorer('cost'), labelled }, base, tokenizer: LETTERS };
  return rankStage({ ...models, preferences, definition: 'figure', out });
};
const leftOut = {
  'with an empty prompt': 1,
  'with equal answers': 1,
  'with a prompt longer than the context': 1,
  'with an answer that does not fit the context': 1,
};

test('leaves out pairs that cannot be judged, and counts them by reason', async () => {
  expect(await rank([...faulty, pair('how?', ['well', 'badly'])])).toEqual({ read: 5, kept: 1, leftOut });
  const [line, ...more] = (await readFile(path.join(dir, 'dual.jsonl'), 'utf8')).split('\n');
  expect(JSON.parse(line!)).toMatchObject({ response_0: 'well', better: 0 });
  expect(more).toEqual(['']);
});

test('if no pair is left, fails and keeps the file of an earlier run', async () => {
  await rank([pair('how?', ['well', 'badly'])]);
  await expect(rank(faulty)).rejects.toThrow(
    `rank: none of 4 pairs is left under the definition figure: ${JSON.stringify(leftOut)}`,
  );
  expect(await readFile(path.join(dir, 'dual.jsonl'), 'utf8')).toContain('well');
});

test('refuses a cost model that does not know what is safe', async () => {
  await expect(rank([pair('how?', ['a', 'b'])], { labelled: 0 })).rejects.toThrow('costs below 0 do not mean safe');
  expect(await rank([pair('how?', ['a', 'b'])], { labelled: 4 })).toMatchObject({ kept: 1 });
});
