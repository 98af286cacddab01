/** Every page of the documentation can be found: in the site's navigation, and on a code host. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { HOME, pagesOf } from './pages.ts';

const ROOT = path.join(import.meta.dirname, '..');
const files = execFileSync('git', ['ls-files', '*.md'], { cwd: ROOT, encoding: 'utf8' }).trim().split('\n');
const pages = pagesOf(ROOT, files);

test('every file in docs/ is a page of the site, and no two lie at one place', () => {
  const sources = pages.map(({ source }) => source);
  expect(sources).toEqual(expect.arrayContaining(files.filter((file) => file.startsWith('docs/'))));
  expect(new Set(pages.map(({ place }) => place)).size).toBe(pages.length);
});

test('the first page lists all pages of docs/ but the decisions', () => {
  const first = readFileSync(path.join(ROOT, HOME), 'utf8');
  const linked = [...first.matchAll(/\]\(([^)#]+)/g)].map(([, href]) => path.posix.join('docs', href!));
  const wanted = pages.map(({ source }) => source).filter((source) => /^docs\//.test(source) && source !== HOME);
  expect(wanted.filter((source) => !source.startsWith('docs/decisions/') && !linked.includes(source))).toEqual([]);
});
