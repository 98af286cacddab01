import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { STUDY_RUNS } from './folder-kinds.ts';
import { REGISTRATION } from './results/registration.ts';

test('a study that was stopped once its hypotheses were registered is taken up again, other folders are not', () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'plimsoll-study-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  writeFileSync(path.join(dir, REGISTRATION), '{}');
  expect(STUDY_RUNS.isOurs(dir)).toBe(true);
  writeFileSync(path.join(dir, 'notes.txt'), 'mine');
  expect(STUDY_RUNS.isOurs(dir)).toBe(false);
});
