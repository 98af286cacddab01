/** Links lead to the same thing on the site as on a code host. */
import { expect, test } from 'vitest';
import { leads } from './links.ts';
import type { Page } from './pages.ts';

const page = (source: string, place: string): Page => ({ source, place, title: source, group: 'Some' });
const pages = [
  page('docs/policies.md', 'policies.md'),
  page('docs/evaluation/README.md', 'evaluation.md'),
  page('shared/gate/README.md', 'shared/gate.md'),
  page('CONTRIBUTING.md', 'contributing.md'),
];
const FILES = 'https://host.example/blob/main';

test.each([
  ['docs/policies.md', 'evaluation/README.md#budgets-alone', '/evaluation.md#budgets-alone'],
  ['docs/policies.md', '../shared/gate/README.md', '/shared/gate.md'],
  ['docs/evaluation/README.md', '../policies.md#fields', '/policies.md#fields'],
  ['CONTRIBUTING.md', 'docs/policies.md', '/policies.md'],
  ['CONTRIBUTING.md', 'shared/gate', '/shared/gate.md'],
  ['docs/policies.md', 'presets.svg', '/pictures/presets.svg'],
  ['docs/evaluation/README.md', 'frontier.svg', '/pictures/evaluation/frontier.svg'],
  ['docs/policies.md', '../policies/schema.ts#L3', `${FILES}/policies/schema.ts#L3`],
  ['docs/policies.md', '../docs', `${FILES}/docs`],
])('in %s, %s leads to %s', (from, href, to) => {
  expect(leads(href, { from, pages, repository: FILES })?.to).toBe(to);
});

test('a file of the repository is only named where no code host is known', () => {
  const led = leads('../policies/schema.ts', { from: 'docs/policies.md', pages, repository: undefined });
  expect(led).toEqual({ to: null, file: 'policies/schema.ts' });
});

test.each(['https://example.com/a.md', '#fields', 'mailto:a@example.com', '/mark.svg'])('%s stays as it is', (href) => {
  expect(leads(href, { from: 'docs/policies.md', pages, repository: FILES })).toBeUndefined();
});
