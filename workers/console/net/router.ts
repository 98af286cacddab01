/** Which page the address names. The edge gives the same file for all of them. */
import { useEffect, useState } from 'preact/hooks';

const BASE = '/console';

/** The address below `/console`, as parts: `['tenants', 'acme']`. */
export function usePath(): string[] {
  const [path, setPath] = useState(partsOf(location.pathname));
  useEffect(() => {
    const follow = () => setPath(partsOf(location.pathname));
    addEventListener('popstate', follow);
    return () => removeEventListener('popstate', follow);
  }, []);
  return path;
}

export const addressOf = (...parts: readonly string[]) => [BASE, ...parts.map(encodeURIComponent)].join('/');

export function go(...parts: readonly string[]): void {
  history.pushState(null, '', addressOf(...parts));
  dispatchEvent(new PopStateEvent('popstate'));
}

/** Follows a link without loading the page again, unless it is to open elsewhere. */
export function follow(event: MouseEvent, ...parts: readonly string[]): void {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  go(...parts);
}

function partsOf(path: string): string[] {
  return path
    .slice(BASE.length)
    .split('/')
    .filter((part) => part !== '')
    .map(decoded);
}

/** The part as it stands if its escapes are no UTF-8: then no page has it, and the page says so. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
