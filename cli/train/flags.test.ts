import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { samplesOf } from './flags.ts';

test('--sample-prompts has all its questions answered, and --samples 0 none', async () => {
  const dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-flags-'));
  const samplePrompts = path.join(dir, 'questions.txt');
  await writeFile(samplePrompts, 'How?\n\nWhy?\n');
  const prompts = ['How?', 'Why?'].map((content) => [{ role: 'user', content }]);
  expect(await samplesOf({ samples: 1, samplePrompts })).toEqual({ count: 2, prompts });
  expect(await samplesOf({ samples: 0, samplePrompts })).toEqual({ count: 0 });
  await rm(dir, { recursive: true });
});
