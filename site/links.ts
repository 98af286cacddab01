/**
 * Where a link of a page leads once the page is part of the site. A link to another page of the
 * site leads there, one to a picture to its copy, and one to any other file to the code host, if
 * the build was told which. Otherwise it becomes the name of the file.
 */
import path from 'node:path';
import type { Page } from './pages.ts';

/** `to` null: there is no place to lead to, only the name of the file. */
type Led = { to: string | null; file: string };

type Options = {
  /** The file that the link stands in. */
  from: string;
  pages: readonly Page[];
  /** Where the repository's files are, as in `https://host/owner/name/blob/main`. */
  repository: string | undefined;
};

/** @returns undefined if the link stays as it is: to another host, or within its page */
export function leads(href: string, { from, pages, repository }: Options): Led | undefined {
  if (/^([a-z][a-z+.-]*:|\/|#)/i.test(href)) return undefined;
  const [target = '', anchor] = href.split('#');
  const file = path.posix.join(path.posix.dirname(from), target);
  const readme = path.posix.join(file, 'README.md');
  const page = pages.find(({ source }) => source === file || source === readme);
  const hash = anchor === undefined ? '' : `#${anchor}`;
  if (page !== undefined) return { to: `/${page.place}${hash}`, file };
  if (/\.(svg|png)$/.test(file)) return { to: `/${pictureOf(file)}`, file };
  return { to: repository === undefined ? null : `${repository}/${file}${hash}`, file };
}

/** Where a picture of the repository lies in the site. */
export const pictureOf = (file: string) => `pictures/${file.replace(/^docs\//, '')}`;
