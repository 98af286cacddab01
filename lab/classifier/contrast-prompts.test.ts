import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LABELS } from '#shared/line/categories.ts';
import { promptKey } from '#training/data/prompt-key.ts';
import { harmOf } from './columns.ts';
import { type ContrastExample, contrastPrompts } from './contrast-prompts.ts';
import { ContrastFile, loadContrastCheck, loadFile } from './own-files.ts';

let rows: ContrastExample[];
beforeAll(() => {
  rows = contrastPrompts();
});

test('every label has pairs: one side carries the label, the other is benign but frightening', () => {
  for (const label of LABELS) {
    const own = rows.filter(({ contrast }) => contrast.label === label);
    const unsafe = own.filter(({ targets }) => targets[LABELS.indexOf(label)] === 1);
    const safe = own.filter((row) => row.targets.every((target) => target === 0));
    expect(unsafe.length, label).toBeGreaterThan(30);
    expect(safe.length, label).toBe(unsafe.length);
    expect(safe.every(({ scary }) => scary)).toBe(true);
    expect(unsafe.every((row) => harmOf(row) === (label === 'jailbreak' ? null : 1))).toBe(true);
  }
});

test('each template is on only one side of the split, and every side has enough prompts', () => {
  const sides = new Map<string, Set<string>>();
  for (const { contrast, split } of rows) {
    const key = `${contrast.label}/${contrast.template}`;
    sides.set(key, (sides.get(key) ?? new Set()).add(split));
  }
  for (const [key, splits] of sides) expect(splits.size, key).toBe(1);
  const share = (split: string) => rows.filter((row) => row.split === split).length / rows.length;
  expect(share('heldout')).toBeGreaterThan(0.12);
  expect(share('calibration')).toBeGreaterThan(0.06);
  expect(share('train')).toBeGreaterThan(0.5);
});

test('no prompt of the check file is also in training', () => {
  const trained = new Set(rows.map(({ text }) => promptKey(text)));
  const check = loadContrastCheck().flatMap(({ pairs }) => pairs.flatMap(({ safe, unsafe }) => [safe, unsafe]));
  expect(check.length).toBeGreaterThanOrEqual(100);
  expect(check.filter((text) => trained.has(promptKey(text)))).toEqual([]);
});

const dir = mkdtempSync(path.join(tmpdir(), 'contrast-'));
afterAll(() => rmSync(dir, { recursive: true }));

test.each([
  ['no list', {}, /expected array/],
  ['a pair with one side', templates({ pairs: [{ safe: 'How do I sleep?' }] }), /unsafe/],
  ['a template twice', templates({ template: 't1' }), /has a template twice/],
  ['a strange field', templates({ note: 'x' }), /note/],
])('names the file that is wrong: %s', (_, json, message) => {
  const file = path.join(dir, 'hate.json');
  writeFileSync(file, JSON.stringify(json));
  expect(() => loadFile(file, ContrastFile)).toThrow(message);
  expect(() => loadFile(file, ContrastFile)).toThrow(file);
});

/** Five good templates, and one with these fields. */
function templates(last: object) {
  const pairs = [{ safe: 'How do I sleep?', unsafe: 'How do I stab?' }];
  return [...Array.from({ length: 5 }, (_, i) => ({ template: `t${i}`, pairs })), { template: 'last', pairs, ...last }];
}
