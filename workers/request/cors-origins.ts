/**
 * Whose pages in a browser may call the API: a list of origins, `loopback` for whatever this
 * machine serves to itself, or `*` for every page.
 */
import * as z from 'zod';

const LOOPBACK_HOST = /^(localhost|[a-z0-9.-]+\.localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** `https://app.example`: no path, no pattern, and as a browser writes it. */
const isOrigin = (text: string) => !text.includes('*') && URL.canParse(text) && new URL(text).origin === text;

/** The setting CORS_ORIGINS: origins separated by commas, or `none`. */
export const CorsOrigins = z
  .string()
  .transform((list) => list.split(',').flatMap((item) => item.trim() || []))
  .transform((items) => (items.length === 1 && items[0] === 'none' ? [] : items))
  .pipe(
    z.array(
      z.string().refine((item) => item === '*' || item === 'loopback' || isOrigin(item), {
        error:
          'wanted origins separated by commas, as in https://app.example,http://localhost:3000, or loopback, or *, or none',
      }),
    ),
  );
export type CorsOrigins = z.infer<typeof CorsOrigins>;

/**
 * The value of `access-control-allow-origin` for a page of `origin`, or null if it may not call.
 * The origin `null` is that of files, and of any site that puts its page into a sandbox, so only
 * `*` covers it.
 */
export function allowedOrigin(origin: string, list: CorsOrigins): string | null {
  if (list.includes('*')) return '*';
  if (list.includes(origin)) return origin;
  return list.includes('loopback') && isLoopback(origin) ? origin : null;
}

function isLoopback(origin: string): boolean {
  if (!isOrigin(origin)) return false;
  const { protocol, hostname } = new URL(origin);
  return /^https?:$/.test(protocol) && LOOPBACK_HOST.test(hostname);
}
