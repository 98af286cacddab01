/** Puts the pages and their pictures where VitePress looks for them. */
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { openApiDocument } from '#workers/openapi/document.ts';
import { apiReference } from './api-reference.ts';
import { pictureOf } from './links.ts';
import { HOME, type Page } from './pages.ts';

const MARK = path.join(import.meta.dirname, 'vitepress/mark.svg');

/** What is above the text of the first page. */
const HERO = `---
layout: home
hero:
  name: Plimsoll
  text: A line the model cannot cross
  tagline: One model, many customers, OpenAI's API. Each customer has a line of its own.
  actions:
    - { theme: brand, text: Quick start, link: /quick-start }
    - { theme: alt, text: Concepts, link: /concepts }
    - { theme: alt, text: API reference, link: /api-reference }
---
`;

/** @param folder is emptied first */
export async function stage(root: string, folder: string, pages: readonly Page[]): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  for (const { source, place } of pages) {
    const text = await readFile(path.join(root, source), 'utf8');
    const page = source === HOME ? `${HERO}\n${text.replace(/^# .*\n/, '')}` : text;
    await put(path.join(folder, place), page);
    for (const picture of picturesOf(text)) {
      const file = path.posix.join(path.posix.dirname(source), picture);
      const to = path.join(folder, 'public', pictureOf(file));
      await mkdir(path.dirname(to), { recursive: true });
      await cp(path.join(root, file), to);
    }
  }
  await cp(MARK, path.join(folder, 'public/mark.svg'));
  await put(path.join(folder, 'api-reference.md'), apiReference(openApiDocument()));
  await put(path.join(folder, 'pages.json'), JSON.stringify(pages, null, 2));
}

async function put(file: string, text: string): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, text);
}

/** The pictures of the repository that a page shows. */
function picturesOf(text: string): string[] {
  return [...text.matchAll(/!\[[^\]]*\]\(([^)\s]+)\)/g)].map(([, href]) => href!).filter((href) => !/^\w+:/.test(href));
}
