/** A link that leads nowhere fails the build. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { deadLinks } from './dead-links.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'plimsoll-dead-links-'));
  await mkdir(path.join(folder, 'deep'));
  const link = (href: string) => `<a class="x" href="${href}">a</a>`;
  const good = ['/base/', '/base/deep/page.html#there', 'deep/page.html', '#here', 'https://example.com/gone.html'];
  const bad = ['/base/gone.html', '/deep/page.html', 'deep/page.html#gone', '#gone'];
  const index = `<h1 id="here">A</h1>${[...good, ...bad].map(link).join('')}<img src="/base/gone.svg">`;
  await writeFile(path.join(folder, 'index.html'), index);
  await writeFile(path.join(folder, 'deep/page.html'), `<h2 id="there">B</h2>${link('../index.html#here')}`);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('finds pages, pictures and anchors that are not there, and nothing else', async () => {
  const dead = await deadLinks(folder, '/base/');
  expect(dead.map((each) => each.replace(/^index\.html: (\S+) .*/, '$1')).sort()).toEqual(
    ['#gone', '/base/gone.html', '/base/gone.svg', '/deep/page.html', 'deep/page.html#gone'].sort(),
  );
});
