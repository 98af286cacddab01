/**
 * Lets pages in a browser call the API, if the setting CORS_ORIGINS names their origin. The admin
 * API, the pool's routes and the console are never among it.
 *
 * No answer allows credentials, because a key comes in a header that the page sets itself.
 */
import type { Middleware } from './context.ts';
import { allowedOrigin } from './cors-origins.ts';
import { OWN_HEADER } from './own-page.ts';

const NEVER = ['/admin/', '/pool/', '/console'];
const METHODS = 'GET, POST, DELETE';
/**
 * Every route takes any header, so what may be sent is what the browser asks for, except for what
 * tells the console's own pages from others.
 */
const HEADER_NAMES = /^[\w!#$%&'*+.^`|~-]+(\s*,\s*[\w!#$%&'*+.^`|~-]+)*$/;
const MAX_HEADER_NAMES_CHARS = 2_000;
/** Browsers ask again after two hours at the latest, whatever we say. */
const PREFLIGHT_SECONDS = 7_200;
/** What a page may read of an answer, besides what every page may. */
const EXPOSED = /^(x-.*|retry-after|retry-after-ms|age|etag|openai-.*)$/;

export function cors(): Middleware {
  return async function cors(c, next) {
    const { corsOrigins } = c.var.config;
    const origin = c.req.header('origin');
    if (corsOrigins.length === 0 || NEVER.some((path) => c.req.path.startsWith(path))) return next();
    const allowed = origin === undefined ? null : allowedOrigin(origin, corsOrigins);
    if (allowed === null) {
      await next();
    } else if (isPreflight(c.req.raw)) {
      c.res = new Response(null, { status: 204, headers: preflightHeaders(c.req.raw, allowed) });
    } else {
      await next();
      c.res.headers.set('access-control-allow-origin', allowed);
      const exposed = [...c.res.headers.keys()].filter((name) => EXPOSED.test(name));
      // The request's id is set after this.
      c.res.headers.set('access-control-expose-headers', ['x-request-id', ...exposed].join(', '));
    }
    // Also where no page has asked: a cache must not give this answer to one.
    if (!corsOrigins.includes('*')) c.res.headers.append('vary', 'origin');
  };
}

const isPreflight = ({ method, headers }: Request) =>
  method === 'OPTIONS' && headers.has('access-control-request-method');

function preflightHeaders({ headers }: Request, origin: string): Record<string, string> {
  const names = headers.get('access-control-request-headers') ?? '';
  const areNames = names.length <= MAX_HEADER_NAMES_CHARS && HEADER_NAMES.test(names);
  const allowed = names.split(',').filter((name) => name.trim().toLowerCase() !== OWN_HEADER);
  return {
    'access-control-allow-origin': origin,
    'access-control-allow-methods': METHODS,
    'access-control-max-age': String(PREFLIGHT_SECONDS),
    vary: 'access-control-request-headers',
    ...(areNames && { 'access-control-allow-headers': allowed.join(',') }),
  };
}
