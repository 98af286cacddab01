/**
 * The anchors of a Markdown page, by the rule of the code hosts: lower case, hyphens for spaces,
 * letters, digits, hyphens and underscores, and a number after the second heading of one name. The
 * site of the documentation follows the same rule, so that one link works in both places.
 */

/** The anchor of a heading's text, without the number that tells equal ones apart. */
export function slugOf(heading: string): string {
  return heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, '')
    .replaceAll(' ', '-');
}

/** The anchors of all headings of a page, in their order. */
export function anchorsOf(markdown: string): string[] {
  const seen = new Map<string, number>();
  return headingsOf(markdown).map((heading) => {
    const slug = slugOf(heading);
    const times = seen.get(slug) ?? 0;
    seen.set(slug, times + 1);
    return times === 0 ? slug : `${slug}-${times}`;
  });
}

/** The texts of a page's headings, as a reader sees them. */
function headingsOf(markdown: string): string[] {
  return [...withoutCode(markdown).matchAll(/^#{1,6} +(.+?)(?: +#+)?$/gm)].map(([, text]) => plain(text!));
}

/** The page without its fenced blocks, in which nothing is a heading or a link. */
export function withoutCode(markdown: string): string {
  return markdown.replace(/^( *)(```+|~~~+)[\s\S]*?^ *\2 *$/gm, '');
}

/** Takes off links, code marks and emphasis. */
function plain(text: string): string {
  return text
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/[`*]/g, '')
    .replace(/(?<!\w)_(.+?)_(?!\w)/g, '$1');
}
