import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import type { Candidate } from './candidates.ts';
import { overRefusal } from './learn-steps.ts';
import { pairsOutput, SIDES } from './pairs-step.ts';
import { pairRow, writeRows } from './recipe-rows.ts';
import { REFUSALS } from './sources.ts';

const pair = (family: Candidate['family'], source: string, better: 0 | 1): Candidate => ({
  prompt: [{ role: 'user', content: `How do I boil an egg? (${family})` }],
  responses: ["I can't help with that.", 'In water, for eight minutes.'],
  better,
  safer: null,
  safe: [true, true],
  source,
  family,
  key: family,
  part: 'train',
});

test('the safety expert also learns when not to refuse', async () => {
  const out = mkdtempSync(path.join(tmpdir(), 'learn-steps-'));
  onTestFinished(() => rmSync(out, { recursive: true }));
  makeFolder(path.join(out, 'pairs'));
  for (const side of SIDES) {
    const pairs = [pair('world', 'plimsoll-world', 0), pair('refusals', REFUSALS, 1)];
    writeRows(path.join(out, pairsOutput('better', side)), pairs.map(pairRow));
  }
  const { train, dev } = await overRefusal({ out });
  expect(train).toEqual([expect.objectContaining({ source: REFUSALS, better: 1, safer: 1 })]);
  expect(dev).toEqual(train);
});
