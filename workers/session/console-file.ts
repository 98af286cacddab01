/**
 * The console's own files. They are static assets, but the Worker hands them out itself, so that
 * the host's name is checked and every page has its policy. Every address of a page gets the one
 * page there is, which reads the address.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import type { AppContext } from '../request/context.ts';
import { isSecure } from '../request/session-cookie.ts';

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
  woff2: 'font/woff2',
};

/** Nothing inline runs, nothing comes from elsewhere, and no other page may frame it. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

const HEADERS = {
  'content-security-policy': POLICY,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
};

/** A browser that was here over TLS comes over nothing else for a year. */
const OVER_TLS = { 'strict-transport-security': 'max-age=31536000' };

const PAGE = 'index.html';
/** As the build names files: their content is a part of the name. */
const NAMED_BY_CONTENT = /-[0-9A-Z]{8}\.\w+$/;

export async function consoleFile(c: AppContext): Promise<Response> {
  const { ASSETS } = c.env;
  if (ASSETS === undefined) {
    throw new PlimsollError('unknown_url', 'This edge was started without its console.');
  }
  const asked = c.req.path.replace(/^\/console\/?/, '');
  const name = /\.\w+$/.test(asked) ? asked : PAGE;
  const type = TYPES[name.slice(name.lastIndexOf('.') + 1)];
  if (type === undefined || !/^[\w.-]+$/.test(name)) throw noSuchFile();
  const found = await ASSETS.fetch(new URL(`/${name}`, c.req.url));
  if (!found.ok) {
    await found.body?.cancel();
    throw noSuchFile();
  }
  const lasts = NAMED_BY_CONTENT.test(name) ? 'public, max-age=31536000, immutable' : 'no-cache';
  const headers = { ...HEADERS, 'content-type': type, 'cache-control': lasts, ...(isSecure(c.req) && OVER_TLS) };
  return new Response(found.body, { headers });
}

const noSuchFile = () =>
  new PlimsollError('unknown_url', 'The console has no such file. It may be of another version.');
