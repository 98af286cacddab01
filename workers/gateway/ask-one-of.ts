/** Asks one backend after the other for work that draws nothing, under a signed order. */
import type * as z from 'zod';
import { PlimsollError } from '#shared/api/errors.ts';
import type { BodyOrder } from '#shared/protocol/body-order.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import type { PoolMember } from './backend-pool.ts';
import { backendRefusal } from './backend-refusal.ts';

export type OrderedWork<Answer> = {
  path: string;
  /** As it is sent, and whose digest each order has. */
  body: string;
  answer: z.ZodType<Answer>;
  sign: (order: BodyOrder) => Promise<string>;
  request: string;
  tenant: string;
  client: AbortSignal;
  timeoutMs: number;
};

/**
 * The next one, if one cannot be reached. What one refuses, all would. If the client has left, no
 * further one is asked, and the one that is at work is waited for.
 */
export async function askOneOf<Answer>(
  members: readonly PoolMember[],
  { path, body, answer: schema, sign, request, tenant, client, timeoutMs }: OrderedWork<Answer>,
): Promise<Answer> {
  const signal = AbortSignal.timeout(timeoutMs);
  const digest = await sha256Hex(body);
  let lastCause: unknown;
  for (const { url } of members) {
    if (client.aborted) break;
    try {
      const order = await sign({ id: crypto.randomUUID(), request, tenant, digest });
      const answer = await fetch(`${url}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${order}` },
        body,
        signal,
      });
      if (!answer.ok) throw await backendRefusal(answer);
      return schema.parse(await answer.json());
    } catch (cause) {
      if (cause instanceof PlimsollError && !MAY_BE_OTHERWISE_ELSEWHERE.includes(cause.code)) throw cause;
      lastCause = cause;
    }
  }
  throw new PlimsollError('backend_unavailable', 'No backend is available. Please try again.', { cause: lastCause });
}

/** `unknown_url`: a backend of a version that does not know this kind of work yet. */
const MAY_BE_OTHERWISE_ELSEWHERE: readonly string[] = ['backend_unavailable', 'unknown_url'];

/** Those that are well come first. */
export const wellFirst = (members: readonly PoolMember[]): PoolMember[] =>
  members.toSorted((a, b) => Number(b.alive) - Number(a.alive));
