/**
 * Whether a request comes from a page of the console. A cookie goes with every request of a
 * browser, whoever's page makes it, so a session counts only here.
 *
 * The header is what no other site can send: a page of another origin would have to ask first
 * (CORS), and this edge never allows it, on no route. `SameSite=Strict` alone would not do, because
 * all ports of a machine are one site. The two headers that browsers set themselves say the same
 * again.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import type { AppContext } from './context.ts';

/** Every call of the console has it. Its value does not matter. */
export const OWN_HEADER = 'x-plimsoll-console';

/** On other methods a browser says where the page is from, in one of its two headers at least. */
const READS = ['GET', 'HEAD'];

export function demandOwnPage({ req }: Pick<AppContext, 'req'>): void {
  const site = req.header('sec-fetch-site');
  const origin = req.header('origin');
  const host = req.header('host') ?? new URL(req.url).host;
  const isSameSite = site === 'same-origin';
  const isSameOrigin = origin?.replace(/^https?:\/\//, '') === host;
  const isOwn =
    req.header(OWN_HEADER) !== undefined &&
    (site === undefined || isSameSite) &&
    (origin === undefined || isSameOrigin) &&
    (READS.includes(req.method) || isSameSite || isSameOrigin);
  if (isOwn) return;
  throw new PlimsollError(
    'permission_denied',
    `A session works only for the console's own pages, which send the header '${OWN_HEADER}'. Use an API key.`,
  );
}
