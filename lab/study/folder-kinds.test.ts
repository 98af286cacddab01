import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { METHOD_IDS } from './cells/methods.ts';
import { STUDY_RUNS } from './folder-kinds.ts';
import { SET_IDS } from './questions/sets.ts';
import { REGISTRATION } from './results/registration.ts';

test('a study that was stopped once its hypotheses were registered is taken up again, other folders are not', () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'plimsoll-study-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  writeFileSync(path.join(dir, REGISTRATION), '{}');
  expect(STUDY_RUNS.isOurs(dir)).toBe(true);
  writeFileSync(path.join(dir, 'notes.txt'), 'mine');
  expect(STUDY_RUNS.isOurs(dir)).toBe(false);
});

test('a study with answers of any method on any set is taken up again', () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'plimsoll-study-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const answers = path.join(dir, 'seed-7', 'answers');
  mkdirSync(answers, { recursive: true });
  const sets = [...SET_IDS, 'prefill'];
  METHOD_IDS.forEach((id, i) => {
    writeFileSync(path.join(answers, `${id}@${sets[i % sets.length]}-20.jsonl`), '');
  });
  expect(STUDY_RUNS.isOurs(dir)).toBe(true);
  writeFileSync(path.join(answers, 'notes.txt'), 'mine');
  expect(STUDY_RUNS.isOurs(dir)).toBe(false);
});
