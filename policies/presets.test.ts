import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { createClassifier } from '#shared/classify/classify.ts';
import { runPolicyTests } from './run-policy-tests.ts';
import { Policy, PolicyPart } from './schema.ts';

const folder = new URL('./presets/', import.meta.url);
const read = (file: string) => JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as unknown;
const names = readdirSync(folder).filter((file) => file.endsWith('.json') && file !== 'operator.json');
const bytes = readFileSync(new URL('../models/classifier/classifier.bin', import.meta.url));
const classifier = createClassifier(new Uint8Array(bytes).buffer);
const operator = PolicyPart.parse(read('operator.json'));

test('there are six presets and the operator’s', () => {
  expect(names).toEqual([
    'balanced.json',
    'children.json',
    'open.json',
    'research.json',
    'strict.json',
    'support.json',
  ]);
});

test.each(names)('%s says what it is for, and passes its own tests, alone and under the operator’s policy', (name) => {
  const policy = Policy.parse(read(name));
  expect(policy.description).not.toBeNull();
  expect(policy.tests.length).toBeGreaterThan(0);
  for (const result of runPolicyTests(policy, classifier)) expect(result.failures, result.name).toEqual([]);
  for (const result of runPolicyTests(policy, classifier, { above: [operator] })) {
    expect(result.failures, result.name).toEqual([]);
  }
});

test('every rule for any harm begins where the classifier’s is calibrated to begin', () => {
  for (const name of names) {
    const { categories, shadow } = Policy.parse(read(name));
    const rule = categories.any_harm ?? shadow.any_harm;
    expect(rule?.ramp, name).toEqual(operator.categories.any_harm!.ramp);
  }
});
