import { describe, expect, test } from 'vitest';
import { assertAllowed, licenceOf, notAllowing, spdxOf } from './licences.ts';

const from = (...licences: string[]) => licences.map((licence, i) => ({ name: `set ${i}`, licence }));

describe('weights under a licence', () => {
  test.each([
    ['Apache-2.0', ['Apache-2.0', 'MIT', 'BSD-3-Clause', 'CC-BY-4.0', 'CC0-1.0', 'LicenseRef-own'], true],
    ['MIT', ['LicenseRef-public-domain', 'ISC'], true],
    ['Apache-2.0', ['MIT', 'CC-BY-NC-4.0'], false],
    ['Apache-2.0', ['CC-BY-SA-4.0'], false],
    ['Apache-2.0', ['NOASSERTION'], false],
    ['Apache-2.0', ['LicenseRef-theirs'], false],
    ['CC-BY-NC-4.0', ['MIT', 'CC-BY-NC-4.0'], true],
    ['CC-BY-NC-SA-4.0', ['CC-BY-NC-4.0'], true],
    ['CC-BY-NC-4.0', ['CC-BY-NC-SA-4.0'], false],
    ['CC-BY-SA-4.0', ['CC-BY-SA-4.0', 'MIT'], true],
    ['CC-BY-SA-4.0', ['CC-BY-NC-4.0'], false],
    ['CC-BY-NC-ND-4.0', ['CC-BY-NC-ND-4.0'], false],
    ['LicenseRef-private', ['NOASSERTION', 'CC-BY-NC-ND-4.0', 'CC-BY-SA-4.0'], true],
  ])('%s may come from %j: %s', (weights, data, allowed) => {
    expect(notAllowing(weights, from(...data)).length === 0).toBe(allowed);
  });

  test('are refused with every source that forbids it, and what would be allowed', () => {
    expect(() => assertAllowed('Apache-2.0', from('MIT', 'CC-BY-NC-4.0', 'NOASSERTION'))).toThrow(
      '--licence Apache-2.0: found weights that come from set 1 (CC-BY-NC-4.0), set 2 (its licence is not known), wanted sources that allow it: give --licence private, for weights that nobody else gets',
    );
    expect(() => assertAllowed('Apache-2.0', from('MIT', 'CC-BY-NC-4.0'))).toThrow('give --licence CC-BY-NC-4.0, or');
  });
});

test('known sources have the licence that their data sets have', () => {
  expect(licenceOf('PKU-SafeRLHF')).toBe('CC-BY-NC-4.0');
  expect(licenceOf('anthropics/hh-rlhf')).toBe('MIT');
  expect(licenceOf('toString')).toBeNull();
  expect(licenceOf('Auto-J pairwise test (GAIR-NLP/auto-j)')).toBe('NOASSERTION');
});

test('short words stand for what has no identifier, and text that is none is refused', () => {
  expect(['own', 'unknown', 'private', 'MIT'].map((word) => spdxOf(word, '--licence'))).toEqual([
    'LicenseRef-own',
    'NOASSERTION',
    'LicenseRef-private',
    'MIT',
  ]);
  expect(() => spdxOf('free to use', '--licence')).toThrow('--licence: found "free to use", wanted an SPDX identifier');
});
