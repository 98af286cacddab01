/** The heads over the serving driver against the slow decoder, head by head. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { NO_ADAPTER } from '../model/adapter.ts';
import { scoreFiles } from '../model/bundle-files.ts';
import { tinyBundle } from '../model/fixtures/tiny-bundle.ts';
import { loadBundle, openBundle } from '../model/load-bundle.ts';
import { readScoreHeads, type ScoreHeads } from '../model/score-heads.ts';
import { slowDecoder } from '../model/testing/slow-decoder.ts';
import { writeBundle } from '../model/write-bundle.ts';
import { openHeadScorer } from './score-with-heads.ts';
import { tinyHeads } from './testing/tiny-heads.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'score-heads-'));
});
afterAll(() => rm(root, { recursive: true }));

const config = { max_position_embeddings: 512 };

async function made(name: string, heads: ScoreHeads): Promise<string> {
  const dir = join(root, name);
  await writeBundle(dir, { ...tinyBundle({ config }), scores: heads }, { dtype: 'f32' });
  return dir;
}

/** weight . h + bias, with h from the slow decoder under this head's LoRA alone. */
async function slowScore(dir: string, kind: 'reward' | 'cost', ids: readonly number[]): Promise<number> {
  const bundle = await loadBundle(dir);
  const { weight, bias, ...adapter } = (await readScoreHeads(dir, bundle.manifest, bundle.config))![kind];
  const experts = [{ name: kind, role: 'safety' as const, ...adapter }];
  const { hidden } = slowDecoder({ ...bundle, experts }, ids, () => ({ safety: 1, helpfulness: 1 }));
  return hidden.reduce((sum, x, i) => sum + x * weight[i]!, bias);
}

const idsOf = (length: number) => Array.from({ length }, (_, i) => (i === length - 1 ? 5 : 6 + ((i * 37) % 250)));

test.each([
  ['with LoRA on both', tinyHeads(), 24],
  ['with LoRA on one', { ...tinyHeads(), cost: { ...tinyHeads().cost, ...NO_ADAPTER } }, 24],
  ['of a conversation longer than one run', tinyHeads(), 260],
])('the scores are those of the slow decoder: heads %s', async (name, heads, length) => {
  const dir = await made(name.replaceAll(' ', '-'), heads);
  const bundle = await openBundle(dir);
  const scorer = await openHeadScorer(bundle, (await readScoreHeads(dir, bundle.manifest, bundle.config))!, {
    threads: 1,
  });
  const ids = idsOf(length);
  const [found, again] = [await scorer.score(ids), await scorer.score(ids)];
  expect(again).toEqual(found);
  // f32 against f64, over 300 tokens at most.
  expect(found.reward).toBeCloseTo(await slowScore(dir, 'reward', ids), 3);
  expect(found.cost).toBeCloseTo(await slowScore(dir, 'cost', ids), 3);
  expect(found.reward).not.toBeCloseTo(found.cost, 2);
  await scorer.dispose();
});

test('the digest of a bundle covers its heads, and heads that nothing names are refused', async () => {
  const [a, b] = [await made('one', tinyHeads()), await made('other', tinyHeads({ seed: 9 }))];
  const digests = await Promise.all([a, b].map(async (dir) => (await openBundle(dir)).digest));
  expect(new Set(digests).size).toBe(2);
  const plain = join(root, 'plain');
  await writeBundle(plain, tinyBundle({ config }));
  expect(await readScoreHeads(plain, (await openBundle(plain)).manifest, (await openBundle(plain)).config)).toBeNull();
  const { head } = scoreFiles('reward');
  await mkdir(join(plain, 'scores/reward'), { recursive: true });
  await writeFile(join(plain, head), '');
  await expect(openBundle(plain)).rejects.toThrow(
    /plimsoll.json: scores: found nothing, but there is scores\/reward\/head/,
  );
});

test('a head of another width is refused when the bundle is written', async () => {
  const { reward, cost } = tinyHeads();
  await expect(made('narrow', { reward: { ...reward, weight: new Float32Array(16) }, cost })).rejects.toThrow(
    /scores\/reward\/head.safetensors: tensor weight: found shape \[16\], wanted \[32\]/,
  );
});
