import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { DialogueRow, PairRow } from './rows.ts';

const SCRIPT = path.join(import.meta.dirname, 'export-world.ts');

test('writes four files of rows that parse', () => {
  const out = mkdtempSync(path.join(tmpdir(), 'world-'));
  onTestFinished(() => rmSync(out, { recursive: true }));
  const shares = ['--edition', 'whole', '--jailbreak-share', '0.5', '--multi-turn-share', '0.5'];
  execFileSync(process.execPath, [
    SCRIPT,
    '--out',
    out,
    '--seed',
    '4',
    '--dialogues',
    '30',
    '--pairs',
    '20',
    ...shares,
  ]);
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

test('tells how it is used and refuses a count that is none', () => {
  expect(execFileSync(process.execPath, [SCRIPT, '--help'], { encoding: 'utf8' })).toContain('--dialogues');
  expect(() => execFileSync(process.execPath, [SCRIPT, '--out', 'x', '--pairs', 'many'], { stdio: 'pipe' })).toThrow(
    /whole number/,
  );
});
