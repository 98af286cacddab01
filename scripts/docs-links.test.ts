/**
 * A page that names a file or a heading which is gone misleads. So each relative link has to lead
 * somewhere.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { anchorsOf, withoutCode } from './headings.ts';

const ROOT = path.join(import.meta.dirname, '..');
const PAGES = execFileSync('git', ['ls-files', '*.md'], { cwd: ROOT, encoding: 'utf8' }).trim().split('\n');

const read = (page: string) => readFileSync(path.join(ROOT, page), 'utf8');

/** The links to files and to headings: from the page's folder, and within the target. */
function linksOf(page: string): { file: string; anchor: string }[] {
  return [...withoutCode(read(page)).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => target!)
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => {
      const [file = '', anchor = ''] = target.split('#');
      return { file: file === '' ? page : path.join(path.dirname(page), file), anchor };
    });
}

test.each(PAGES)('every file that %s links to is there', (page) => {
  expect(linksOf(page).filter(({ file }) => !existsSync(path.join(ROOT, file)))).toEqual([]);
});

test.each(PAGES)('every heading that %s links to is there', (page) => {
  const missing = linksOf(page).filter(({ file, anchor }) => {
    return (
      anchor !== '' &&
      file.endsWith('.md') &&
      existsSync(path.join(ROOT, file)) &&
      !anchorsOf(read(file)).includes(anchor)
    );
  });
  expect(missing).toEqual([]);
});

test('anchors are those of the code hosts', () => {
  const page = '# A `code`, and *more*\n\n```\n# none\n```\n## What a budget is worth?\n## [A link](x.md)\n## A link\n';
  expect(anchorsOf(page)).toEqual(['a-code-and-more', 'what-a-budget-is-worth', 'a-link', 'a-link-1']);
});

describe('the threat model', () => {
  const text = readFileSync(path.join(ROOT, 'docs/threat-model.md'), 'utf8');
  const defended = text.slice(text.indexOf('## What is defended'), text.indexOf('## The promise'));
  const rows = defended.split('\n').filter((line) => /^\| (?!way |---)/.test(line));

  test.each(rows)('names a test for each defence: %s', (row) => {
    const last = row.split('|').at(-2)!;
    expect(last).toMatch(/\]\(\.\.\/[\w/.-]+\.test\.ts\)|npm run bench/);
  });

  test('has its tables', () => expect(rows.length).toBeGreaterThan(25));
});
