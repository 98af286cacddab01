/**
 * Answers a path that is not served: says where the API is, and which address was most likely
 * meant.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import type { AppContext } from './context.ts';

const MAX_SHOWN = 100;

/** @param paths all routes without parameters */
export function unknownRoute(paths: readonly string[]) {
  return (c: AppContext): never => {
    const { method, path } = c.req;
    const shown = path.length > MAX_SHOWN ? `${path.slice(0, MAX_SHOWN)}...` : path;
    throw new PlimsollError('unknown_url', `Unknown URL (${method} ${shown}): ${hint(path, paths)}`);
  };
}

function hint(path: string, paths: readonly string[]): string {
  const asked = normal(path);
  const candidates = [asked, `/v1${asked}`, asked.replace(/^.*\/v1(?=\/)/, '/v1')];
  const meant = candidates.find((each) => paths.includes(each));
  if (meant !== undefined) return `did you mean ${meant}?`;
  if (asked === '/metrics') {
    return 'the edge has its own under /admin/v1/metrics, each backend under the URL that it prints when it starts.';
  }
  return 'the API is under /v1, as in POST /v1/chat/completions and GET /v1/models.';
}

/** Removes what is easily typed by mistake: doubled slashes, a slash at the end, capitals. */
const normal = (path: string) =>
  path
    .toLowerCase()
    .replace(/\/{2,}/g, '/')
    .replace(/\/$/, '');
