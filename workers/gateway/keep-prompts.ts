/**
 * Keeps the prompts of a share of the requests, where every level of the policy allows it: for
 * simulations of the next one. It begins once there is a response, and no answer waits for it or
 * fails with it.
 */
import { inCanary } from '#policies/canary.ts';
import { keepsPrompts, type Retention } from '#policies/retention.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { askedIn } from '#shared/protocol/asked-of.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { tenantTraffic } from '../objects/tenant-traffic-contract.ts';
import type { AppContext, Middleware } from '../request/context.ts';
import { logWarning } from '../request/log.ts';
import { createRateBound } from '../request/rate-bound.ts';
import { parseJson } from '../request/read-body.ts';
import { retentionOf } from '../request/retention-of.ts';
import type { MeterEnv } from './limits.ts';

/**
 * How many prompts of a tenant an isolate sends to be kept in a minute. There is room for a few
 * hundred, so more would only push each other out.
 */
const MOST_A_MINUTE = 60;

/** Runs the route first. Only what was answered, or refused by the policy, is kept. */
export function keepPrompts(): Middleware<MeterEnv> {
  const bound = createRateBound({ most: MOST_A_MINUTE, periodMs: 60_000 });

  return async function keepPrompts(c, next) {
    await next();
    const { caller } = c.var;
    const retention = retentionOf(caller);
    const isRefusal = c.error instanceof PlimsollError && c.error.code === 'policy_refused';
    if (!keepsPrompts(retention) || !(c.res.ok || isRefusal)) return;
    const kept = keep(retention, c).catch((thrown: unknown) => {
      // Its name alone: a message might quote what it is about.
      const because = thrown instanceof Error ? thrown.name : typeof thrown;
      logWarning({ event: 'prompt-not-kept', request: c.var.requestId, tenant: caller.tenant, because });
    });
    c.executionCtx.waitUntil(kept);
  };

  async function keep(
    { share, days }: Retention,
    { env, var: { requestId, caller, body } }: Pick<AppContext<MeterEnv>, 'env' | 'var'>,
  ): Promise<void> {
    // The request's id is the edge's own, so nobody chooses what is kept, and no content decides.
    if (!inCanary(await sha256Hex(`plimsoll kept prompts ${requestId}`), share)) return;
    if (bound.take(caller.tenant) !== null) return;
    // Of several plain prompts, the first stands for the request. Ids without text are not kept.
    const [asked] = askedIn(parseJson(body));
    if (asked === undefined || Array.isArray(asked.prompt)) return;
    const messages = JSON.stringify(asked.messages);
    await tenantTraffic(env, caller.tenant)?.keep(caller.tenant, { messages, days });
  }
}
