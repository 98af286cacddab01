import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import type { Candidate } from './candidates.ts';
import { pairRow, readPairRows, sourcesOf, writeRows } from './recipe-rows.ts';

const pair = (changes: Partial<Candidate>): Candidate => ({
  prompt: [{ role: 'user', content: 'How?' }],
  responses: ['So.', 'No.'],
  better: 0,
  safer: null,
  safe: [true, true],
  source: 'plimsoll-world',
  family: 'world',
  key: 'how',
  part: 'train',
  ...changes,
});

test('a pair of own answers keeps the source of its prompt, and no other pair says one', async () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'plimsoll-rows-'));
  try {
    const file = path.join(dir, 'pairs.jsonl');
    const own = pair({ source: 'plimsoll-refusals', family: 'refusals', promptSource: 'rasbt/LLMs-from-scratch' });
    writeRows(file, [pair({}), own].map(pairRow));
    expect(readFileSync(file, 'utf8').split('\n')[0]).not.toContain('promptSource');
    const rows = await readPairRows(file);
    expect(rows).toEqual([pair({}), own]);
    expect(rows.map(sourcesOf)).toEqual([['plimsoll-world'], ['plimsoll-refusals', 'rasbt/LLMs-from-scratch']]);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
