import { describe, expect, test } from 'vitest';
import { fileOrigins, mergeSources, sourcesOf, withOrigins } from './origins.ts';

const FILE = '/home/me/mine.jsonl';

describe('a row', () => {
  test('has the licence that it says, or that of its known source, or the one given for its file', () => {
    const rows = [{ source: 'a', licence: 'CC0-1.0' }, { source: 'HH-RLHF' }, { source: FILE }];
    expect(withOrigins(rows, { licence: 'LicenseRef-own' }, FILE)).toEqual([
      { source: 'a', licence: 'CC0-1.0' },
      { source: 'HH-RLHF', licence: 'MIT' },
      // The path is nobody else's business.
      { source: 'mine.jsonl', licence: 'LicenseRef-own' },
    ]);
  });

  test('has the source that is given for its file, whatever it says itself', () => {
    const rows = [{ source: 'PKU-SafeRLHF' }];
    expect(withOrigins(rows, { source: 'bought from PKU', licence: 'LicenseRef-own' }, FILE)).toEqual([
      { source: 'bought from PKU', licence: 'LicenseRef-own' },
    ]);
    expect(withOrigins([{ source: 'x' }], { source: 'GSM8K' }, FILE)).toEqual([{ source: 'GSM8K', licence: 'MIT' }]);
  });

  test('without a licence is an error that says what to give', () => {
    expect(() => withOrigins([{ source: FILE }], {}, FILE)).toThrow(
      `${FILE}: the licence of its rows is not known, and the weights' licence depends on it: give --licence with an SPDX identifier, "own" if you wrote them, or "unknown"`,
    );
    expect(() => withOrigins([{ source: 'theirs' }], {}, FILE)).toThrow(
      'the licence of rows from "theirs" is not known',
    );
    expect(() => withOrigins([{ source: 'x' }], { source: 'the web' }, FILE)).toThrow('rows from "the web"');
  });

  test('of a known source does not change its licence because a flag says so', () => {
    expect(() => withOrigins([{ source: 'PKU-SafeRLHF' }], { licence: 'MIT' }, FILE)).toThrow(
      `${FILE}: found rows under CC-BY-NC-4.0, by their sources, and --licence MIT`,
    );
  });
});

test('a flag is for all files, or there is one for each', () => {
  expect(fileOrigins(['a', 'b'], { licence: ['own'], source: ['x', 'y'] })).toEqual([
    { licence: 'LicenseRef-own', source: 'x' },
    { licence: 'LicenseRef-own', source: 'y' },
  ]);
  expect(fileOrigins(['a'], { licence: [], source: [] })).toEqual([{ licence: undefined, source: undefined }]);
  expect(() => fileOrigins(['a', 'b', 'c'], { licence: ['MIT', 'own'], source: [] })).toThrow(
    '--licence: found 2 of them for 3 files, wanted one, or one for each',
  );
});

test('sources are counted, and merged without their counts', () => {
  const rows = [{ source: 'b', licence: 'MIT' }, { source: 'nobody knows' }, { source: 'b', licence: 'MIT' }];
  const sources = sourcesOf(rows);
  expect(sources).toEqual([
    { name: 'b', licence: 'MIT', rows: 2 },
    { name: 'nobody knows', licence: 'NOASSERTION', rows: 1 },
  ]);
  expect(
    mergeSources(sources, [
      { name: 'b', licence: 'MIT' },
      { name: 'a', licence: 'CC0-1.0' },
    ]),
  ).toEqual([
    { name: 'a', licence: 'CC0-1.0' },
    { name: 'b', licence: 'MIT' },
    { name: 'nobody knows', licence: 'NOASSERTION' },
  ]);
});
