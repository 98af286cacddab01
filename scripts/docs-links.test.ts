/** A page that names a file which is gone misleads. So each relative link has to lead somewhere. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';

const ROOT = path.join(import.meta.dirname, '..');
const PAGES = execFileSync('git', ['ls-files', '*.md'], { cwd: ROOT, encoding: 'utf8' }).trim().split('\n');

/** The targets of all links to files, without anchors. */
function linksOf(page: string): string[] {
  const text = readFileSync(path.join(ROOT, page), 'utf8').replace(/^```[\s\S]*?^```/gm, '');
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => target!.split('#', 1)[0]!)
    .filter((target) => target !== '' && !/^[a-z]+:/.test(target));
}

test.each(PAGES)('every file that %s links to is there', (page) => {
  const missing = linksOf(page).filter((target) => !existsSync(path.join(ROOT, path.dirname(page), target)));
  expect(missing).toEqual([]);
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
