/** Links of built pages that lead nowhere. VitePress looks at pages only, and not at anchors. */
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';

/** @returns one line for each, with the page that has it */
export async function deadLinks(folder: string, base: string): Promise<string[]> {
  const files = (await readdir(folder, { recursive: true })).map((file) => file.split(path.sep).join('/'));
  const there = new Set(files);
  const pages = new Map<string, string>();
  for (const file of files.filter((each) => each.endsWith('.html'))) {
    pages.set(file, await readFile(path.join(folder, file), 'utf8'));
  }
  const dead: string[] = [];
  for (const [page, html] of pages) {
    for (const href of new Set(hrefsOf(html))) {
      const [target = '', anchor = ''] = href.split('#');
      const file = fileOf(target, { page, base });
      if (file === undefined || !there.has(file)) dead.push(`${page}: ${href} leads nowhere`);
      else if (anchor !== '' && pages.has(file) && !hasAnchor(pages.get(file)!, decodeURIComponent(anchor))) {
        dead.push(`${page}: ${href} names an anchor that is not there`);
      }
    }
  }
  return dead;
}

/** The targets within the site. */
function hrefsOf(html: string): string[] {
  return [...html.matchAll(/<(?:a|img|link|script)\b[^>]*?\s(?:href|src)="([^"]+)"/g)]
    .map(([, href]) => href!.replaceAll('&amp;', '&'))
    .filter((href) => !/^([a-z][a-z+.-]*:|\/\/)/i.test(href));
}

function fileOf(target: string, { page, base }: { page: string; base: string }): string | undefined {
  if (target === '') return page;
  if (target.startsWith('/') && !target.startsWith(base)) return undefined;
  const relative = target.startsWith('/')
    ? target.slice(base.length)
    : path.posix.join(path.posix.dirname(page), target);
  return relative === '' || relative.endsWith('/') ? `${relative}index.html` : relative;
}

const hasAnchor = (html: string, anchor: string) => html.includes(` id="${anchor}"`);
