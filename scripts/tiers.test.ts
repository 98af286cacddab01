import { expect, test } from 'vitest';
import manifest from '../package.json' with { type: 'json' };

const scripts: Record<string, string> = manifest.scripts;
const projectsOf = (script: string) => [...scripts[script]!.matchAll(/--project=(\w+)/g)].map(([, name]) => name);

test.each(['unit', 'integration', 'e2e', 'heavy'])('test:%s runs that tier and no other', (tier) => {
  expect(projectsOf(`test:${tier}`)).toEqual([tier]);
});

test('npm test runs every tier except heavy', () => {
  expect(projectsOf('test')).toEqual(['unit', 'integration', 'e2e']);
});
