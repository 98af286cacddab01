/** Asks a backend itself what it is and how it is. */
import * as z from 'zod';
import { ServedModel, ToldLoad } from '#shared/protocol/pool-report.ts';
import { type PoolMember, servedBy } from './pool-member.ts';

export const HEALTH_TIMEOUT_MS = 2_000;

/**
 * The part of a health report that the edge acts on. A backend that drains or warms up gives
 * another status.
 */
const Health = ServedModel.extend({ status: z.literal('ok') });
const Draining = z.object({ status: z.literal('draining') });

/** What is known of it now. If it is not well, what was known before, and that it is dead. */
export async function examineBackend(before: PoolMember, fetch: typeof globalThis.fetch): Promise<PoolMember> {
  const dead = { ...before, alive: false, draining: false, told: undefined };
  try {
    const signal = AbortSignal.timeout(HEALTH_TIMEOUT_MS);
    const ask = () => fetch(`${before.url}/healthz`, { signal });
    // We ask a second time, because the other end may have closed a kept-alive connection.
    const answer = await ask().catch((cause: unknown) => {
      if (signal.aborted) throw cause;
      return ask();
    });
    const report: unknown = await answer.json();
    if (Draining.safeParse(report).success) return { ...dead, draining: true, told: told(report) };
    const health = Health.safeParse(report);
    if (!answer.ok || !health.success) return dead;
    return { url: before.url, alive: true, ...servedBy(health.data), told: told(report) };
  } catch {
    // A backend that does not answer is a result here, not an error. The snapshot records it, and
    // a request that finds no backend is logged.
    return dead;
  }
}

/**
 * How busy it is, for whoever looks at the pool. No request goes by it, because by then the edge
 * counts its own. So a backend that says it in part, or wrongly, is well all the same.
 */
function told(report: unknown): PoolMember['told'] {
  const { data } = ToldLoad.safeParse(report);
  return data && { ...data, atMs: Date.now() };
}
