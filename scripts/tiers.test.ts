import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { expect, test } from 'vitest';
import manifest from '../package.json' with { type: 'json' };
import { TIERS } from './tiers.ts';

const scripts: Record<string, string> = manifest.scripts;
const projectsOf = (script: string) => [...scripts[script]!.matchAll(/--project=(\w+)/g)].map(([, name]) => name);

test.each(['unit', 'integration', 'e2e', 'heavy'])('test:%s runs that tier and no other', (tier) => {
  expect(projectsOf(`test:${tier}`)).toEqual([tier]);
});

test('npm test runs every tier except heavy', () => {
  expect(projectsOf('test')).toEqual(['unit', 'integration', 'e2e']);
});

const tiersOf = (file: string) =>
  Object.entries(TIERS)
    .filter(([, { include, exclude = [] }]) => {
      const matches = (globs: readonly string[]) => globs.some((glob) => path.matchesGlob(file, glob));
      return matches(include) && !matches(exclude);
    })
    .map(([name]) => name);

test.each([
  ['shared/gate/mix-experts.test.ts', ['unit']],
  ['cli/main.integration.test.ts', ['integration']],
  ['test/serving.test.ts', ['e2e']],
  ['test/heavy/packed-release.test.ts', ['heavy']],
  ['test/sub/x.test.ts', []],
  ['scripts/launch.test.mjs', []],
  ['x.test.ts', []],
])('%s is in the tiers %j', (file, tiers) => expect(tiersOf(file)).toEqual(tiers));

test('every tracked file named *.test.* is in exactly one tier', () => {
  const files = execFileSync('git', ['ls-files', '-z', '*.test.*'], {
    cwd: path.join(import.meta.dirname, '..'),
    encoding: 'utf8',
  });
  const tests = files.split('\0').filter((file) => file !== '');
  expect(tests.length).toBeGreaterThan(100);
  expect(tests.filter((file) => tiersOf(file).length !== 1)).toEqual([]);
});
