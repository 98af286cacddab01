import { expect, test } from 'vitest';
import { LICENCES } from '../classifier/licences.ts';
import { assertOpen, describeSource, REFUSED, SOURCES, sourceOf } from './sources.ts';

test('every source that is used has a licence that weights under Apache-2.0 may come from', () => {
  for (const [name, { licence }] of Object.entries(SOURCES)) assertOpen(name, licence);
});

test('a source without a line is refused by its name and its file', () => {
  expect(() => sourceOf('somebody/some-set', 'pairs.jsonl')).toThrow(
    'pairs.jsonl: the source "somebody/some-set" has no line in lab/smollm2/sources.ts',
  );
});

test('a source that the table refuses is left out', () => {
  for (const name of Object.keys(REFUSED)) expect(sourceOf(name, 'x')).toBeNull();
});

test('says that the terms of the models that wrote the answers may apply', () => {
  expect(describeSource('refusal_direction/jailbreakbench/actadd').from).toMatch(
    /JailbreakBench.*Llama 2.*terms may apply$/,
  );
  expect(() => describeSource('somebody/some-set')).toThrow('"somebody/some-set" has no line');
});

test.each(['CC-BY-NC-4.0', 'CC-BY-SA-4.0', 'unclear', ''])('refuses the licence "%s"', (licence) => {
  expect(() => assertOpen('the base', licence)).toThrow(`the base: found the licence ${licence}, wanted one of`);
});

test('takes no preference set that the classifier refuses for its licence', () => {
  for (const name of Object.keys(SOURCES)) {
    const known = LICENCES[name];
    // HH-RLHF is no source of labelled prompts. As a source of preferences its licence will do.
    if (known !== undefined && name !== 'anthropics/hh-rlhf') expect(known.inWeights, name).toBe(true);
  }
});
