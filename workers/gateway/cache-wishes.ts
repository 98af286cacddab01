/** What a client's `Cache-Control` says about answers that were made before (RFC 9111, 5.2.1). */

type CacheWishes = {
  /** Whether an answer that is there already will do. */
  mayReuse: boolean;
  /** Whether the answer may be kept for others. */
  mayKeep: boolean;
  /** The oldest answer that will do, in milliseconds. */
  maxAgeMs: number;
};

/** Directives that we do not know are ignored, as the standard says. */
export function readCacheWishes(cacheControl: string | undefined): CacheWishes {
  const directives = new Map(
    (cacheControl ?? '').split(',').map((directive): [string, string | undefined] => {
      const [name = '', value] = directive.split('=');
      return [name.trim().toLowerCase(), value?.trim().replaceAll('"', '')];
    }),
  );
  const maxAge = directives.get('max-age');
  const mayKeep = !directives.has('no-store');
  return {
    mayKeep,
    mayReuse: mayKeep && !directives.has('no-cache'),
    // An age that is no number asks for something fresh, if for anything.
    maxAgeMs: maxAge === undefined ? Number.POSITIVE_INFINITY : /^\d+$/.test(maxAge) ? 1000 * Number(maxAge) : 0,
  };
}
