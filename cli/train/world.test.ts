import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { DialogueRow, PairRow } from '#lab/world/rows.ts';
import { world } from './world.ts';

const run = (...args: string[]) =>
  world()
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .parseAsync(args, { from: 'user' });

test('writes four files of rows that parse', async () => {
  vi.spyOn(console, 'log').mockReturnValue();
  const out = mkdtempSync(path.join(tmpdir(), 'world-'));
  onTestFinished(() => {
    vi.restoreAllMocks();
    rmSync(out, { recursive: true });
  });
  const counts = ['--dialogues', '30', '--pairs', '20'];
  const shares = ['--edition', 'whole', '--jailbreak-share', '0.5', '--multi-turn-share', '0.5'];
  await run('--out', out, '--seed', '4', ...counts, ...shares);
  const rows = (name: string) =>
    readFileSync(path.join(out, `${name}.jsonl`), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  expect(rows('dialogs_train').map((row) => DialogueRow.parse(row))).toHaveLength(30);
  expect(rows('dialogs_heldout').map((row) => DialogueRow.parse(row))).toHaveLength(3);
  expect(rows('pairs_train').map((row) => PairRow.parse(row))).toHaveLength(20);
  expect(rows('pairs_heldout').map((row) => PairRow.parse(row))).toHaveLength(2);
});

test('refuses a count that is not a whole number', async () => {
  await expect(run('--out', 'x', '--pairs', 'many')).rejects.toThrow(/whole number/);
});
