import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { contextOf } from './context-of.ts';

test('a bound holds where the model has more tokens, and else the model’s own', async () => {
  const dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-context-'));
  onTestFinished(() => rm(dir, { recursive: true }));
  await writeFile(path.join(dir, 'config.json'), '{"max_position_embeddings": 512}');
  expect(await contextOf(dir, 100)).toBe(100);
  expect(await contextOf(dir, 4096)).toBe(512);
  expect(await contextOf(dir, null)).toBeNull();
});

test('a bundle without a config keeps the bound', async () => {
  expect(await contextOf('/nowhere', 4096)).toBe(4096);
});
