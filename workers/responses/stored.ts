/** A stored response: read, listed and erased by any key of its tenant that may ask models. */
import * as z from 'zod';
import { PlimsollError } from '#shared/api/errors.ts';
import { parseRequest } from '#shared/api/invalid-request.ts';
import type { StoredResponse } from '../objects/tenant-responses-contract.ts';
import type { AppContext, CallerEnv } from '../request/context.ts';
import { isResponseId } from './ids.ts';
import { asSeenBy } from './reader-sight.ts';
import { responseStore } from './response-store.ts';

type StoredContext = Pick<AppContext<CallerEnv>, 'env' | 'var' | 'req'>;

/** OpenAI's. What may be included is never there, so nothing is made of it. */
export const RetrieveQuery = z.object({ stream: z.literal('false').optional(), include: z.string().optional() });

export const InputItemsQuery = z.object({
  limit: z.coerce.number().pipe(z.int().min(1).max(100)).default(20),
  order: z.enum(['asc', 'desc']).default('desc'),
  /** The id of an item: the page begins after it. */
  after: z.string().optional(),
  include: z.string().optional(),
});

export async function retrieveResponse(c: StoredContext): Promise<Response> {
  parseRequest(RetrieveQuery, c.req.query());
  const { response } = await find(c);
  return new Response(asSeenBy(c.var.caller, response), { headers: { 'content-type': 'application/json' } });
}

export async function deleteResponse(c: StoredContext): Promise<Response> {
  const id = idOf(c);
  // What a policy does not allow any more can still be erased.
  if (!(isResponseId(id) && (await responseStore(c).remove(id)))) throw notFound(id);
  return Response.json({ id, object: 'response', deleted: true });
}

export async function listInputItems(c: StoredContext): Promise<Response> {
  const { limit, order, after } = parseRequest(InputItemsQuery, c.req.query());
  const { input } = await find(c);
  // The cast: our own text.
  const asked = JSON.parse(input) as { id: string }[];
  const ordered = order === 'asc' ? asked : asked.toReversed();
  const from = after === undefined ? 0 : ordered.findIndex(({ id }) => id === after) + 1;
  if (after !== undefined && from === 0) {
    throw new PlimsollError('invalid_value', `'after' names no item of this response.`, { param: 'after' });
  }
  const data = ordered.slice(from, from + limit);
  return Response.json({
    object: 'list',
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: from + limit < ordered.length,
  });
}

async function find(c: StoredContext): Promise<StoredResponse> {
  const id = idOf(c);
  const store = responseStore(c);
  if (store.lacks !== null) throw notFound(id, `: none are stored here, because ${store.lacks}`);
  const found = isResponseId(id) ? await store.read([id]) : null;
  const [turn] = found?.outcome === 'found' ? found.turns : [];
  if (turn === undefined) throw notFound(id);
  return turn;
}

const idOf = (c: StoredContext): string => c.req.param('id') ?? '';

function notFound(id: string, why = ''): PlimsollError {
  const shown = isResponseId(id) ? id : `${id.slice(0, 80)}`;
  return new PlimsollError('not_found', `Response with id '${shown}' not found${why}.`, { param: 'response_id' });
}
