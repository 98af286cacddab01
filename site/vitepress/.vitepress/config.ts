/** VitePress's settings. Nothing here loads anything from another host. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { defineConfig } from 'vitepress';
import { slugOf } from '../../../scripts/headings.ts';
import { leads } from '../../links.ts';
import type { Page } from '../../pages.ts';

const STAGED = path.join(import.meta.dirname, '../.staged');
const pages = JSON.parse(readFileSync(path.join(STAGED, 'pages.json'), 'utf8')) as Page[];
const repository = process.env.PLIMSOLL_DOCS_FILES;
const base = process.env.PLIMSOLL_DOCS_BASE ?? '/';

const linkTo = ({ title, place }: Page) => ({ text: title, link: `/${place.replace(/\.md$/, '')}` });
const groups = [...new Set(pages.map(({ group }) => group))].filter((group) => group !== null);
const REFERENCE = { text: 'API reference', link: '/api-reference' };

type Token = { type: string; tag: string; attrs: [string, string][] | null };

/** No code host is known: the words stay, and say on hover which file they mean. */
function nameTheFile(open: Token, close: Token, file: string): void {
  Object.assign(open, {
    type: 'file_open',
    tag: 'span',
    attrs: [
      ['class', 'file'],
      ['title', file],
    ],
  });
  Object.assign(close, { type: 'file_close', tag: 'span' });
}

export default defineConfig({
  title: 'Plimsoll',
  description: 'An OpenAI-compatible API in which every tenant has a line the decoding cannot cross',
  lang: 'en',
  base,
  srcDir: '.staged',
  outDir: '../../dist/docs',
  cacheDir: '.staged/.cache',
  // esbuild's newest version (package.json) rewrites nothing for browsers from before 2022.
  vite: { build: { target: 'es2022', chunkSizeWarningLimit: 2000 } },
  head: [['link', { rel: 'icon', type: 'image/svg+xml', href: `${base}mark.svg` }]],
  markdown: {
    anchor: { slugify: slugOf },
    config(markdown) {
      markdown.core.ruler.push('leads', ({ tokens, env }) => {
        const page = pages.find(({ place }) => place === env.relativePath);
        if (page === undefined) return;
        for (const { children } of tokens) {
          for (const [i, token] of (children ?? []).entries()) {
            const name = token.type === 'image' ? 'src' : token.type === 'link_open' ? 'href' : undefined;
            const href = name === undefined ? null : token.attrGet(name);
            const led = href === null ? undefined : leads(decodeURI(href), { from: page.source, pages, repository });
            if (name === undefined || led === undefined) continue;
            if (led.to !== null) token.attrSet(name, led.to);
            else nameTheFile(token, children!.slice(i).find(({ type }) => type === 'link_close')!, led.file);
          }
        }
      });
    },
  },
  themeConfig: {
    logo: { src: '/mark.svg', alt: '' },
    outline: [2, 3],
    search: { provider: 'local' },
    nav: [
      { text: 'Quick start', link: '/quick-start' },
      { text: 'Policies', link: '/policies' },
      { text: 'Operations', link: '/operations' },
      REFERENCE,
    ],
    sidebar: groups.map((text) => ({
      text,
      items: [...pages.filter(({ group }) => group === text).map(linkTo), ...(text === 'Call it' ? [REFERENCE] : [])],
    })),
    footer: { message: 'Apache-2.0, code and demo weights' },
  },
});
