/** Asks one backend after the other for work that draws nothing, under a signed order. */
import type * as z from 'zod';
import { PlimsollError } from '#shared/api/errors.ts';
import type { BodyOrder } from '#shared/protocol/body-order.ts';
import { parseUnquoted } from '#shared/protocol/parse-unquoted.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import type { RequestTrace } from '#shared/trace/tracing.ts';
import type { PoolMember } from './backend-pool.ts';
import { backendRefusal } from './backend-refusal.ts';

export type OrderedWork<Answer> = {
  path: string;
  /** As it is sent, and whose digest each order has. */
  body: string;
  answer: z.ZodType<Answer>;
  sign: (order: BodyOrder) => Promise<string>;
  trace: RequestTrace;
  request: string;
  tenant: string;
  client: AbortSignal;
  timeoutMs: number;
};

/** As many as are asked for an answer. If they fail, the trouble is not with one of them. */
const MOST_ASKED = 3;

/**
 * The next one, if one fails or cannot be reached. What one refuses, all would. If the client has
 * left, no further one is asked, and the one that is at work is waited for.
 */
export async function askOneOf<Answer>(
  members: readonly PoolMember[],
  { path, body, answer: schema, sign, trace, request, tenant, client, timeoutMs }: OrderedWork<Answer>,
): Promise<Answer> {
  const signal = AbortSignal.timeout(timeoutMs);
  const digest = await sha256Hex(body);
  let lastCause: unknown;
  for (const { url } of wellFirst(members).slice(0, MOST_ASKED)) {
    if (client.aborted || signal.aborted) break;
    const span = trace.call(path.slice(path.lastIndexOf('/') + 1), { 'url.full': `${url}${path}` });
    try {
      const order = await sign({ id: crypto.randomUUID(), request, tenant, digest });
      const answer = await fetch(`${url}${path}`, {
        method: 'POST',
        headers: { ...span.headers, 'content-type': 'application/json', authorization: `Bearer ${order}` },
        body,
        signal,
      });
      if (!answer.ok) throw await backendRefusal(answer);
      return schema.parse(parseUnquoted(await answer.text()));
    } catch (cause) {
      span.fail(cause instanceof PlimsollError ? cause.code : 'backend_unavailable');
      if (cause instanceof PlimsollError && !mayBeOtherwiseElsewhere(cause)) throw cause;
      lastCause = cause;
    } finally {
      span.end();
    }
  }
  // It says when to try again.
  if (lastCause instanceof PlimsollError && lastCause.code === 'overloaded') throw lastCause;
  throw new PlimsollError('backend_unavailable', 'No backend is available. Please try again.', { cause: lastCause });
}

/**
 * `unknown_url`: a backend of a version that does not know this kind of work yet.
 * `model_not_found`: one that was started again with another bundle.
 */
const mayBeOtherwiseElsewhere = ({ status, code }: PlimsollError) =>
  status >= 500 || code === 'unknown_url' || code === 'model_not_found';

/** Those that are well come first. */
const wellFirst = (members: readonly PoolMember[]): PoolMember[] =>
  members.toSorted((a, b) => Number(b.alive) - Number(a.alive));
