/**
 * The prompts that a tenant lets the edge keep: given out to the operator and to the tenant's keys
 * that have a scope for it, and erased. Each time is an entry in the tenant's audit log.
 */
import * as z from 'zod';
import { type Level, readLevel } from '#policies/effective.ts';
import { keepsPrompts, type Retention } from '#policies/retention.ts';
import { tightenAll } from '#policies/tighten.ts';
import type { LinkedMessage } from '#shared/api/chat-messages.ts';
import { ClientMessage, clientMessage } from '#shared/api/client-messages.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import type { TenantView } from '../objects/tenant-contracts.ts';
import { type TenantTrafficContract, tenantTraffic } from '../objects/tenant-traffic-contract.ts';
import { jsonLines } from './json-lines.ts';
import { noSuchTenant } from './require-access.ts';
import { type Admin, asking, levelOfPlan, noteOwnTenant, type TenantContext, viewOf } from './tenants.ts';

/** One line for each prompt, as `plimsoll policy simulate --prompts` reads it. */
export const KeptPrompt = z.strictObject({
  kept_at: z.string().describe('ISO 8601, in UTC'),
  messages: z.array(ClientMessage).min(1),
});
type KeptPrompt = z.infer<typeof KeptPrompt>;

export const SamplesErased = z.strictObject({ id: z.string(), erased: z.int().describe('how many prompts') });

/** How many are read at once: a few megabytes at most. */
const PAGE = 50;

type Reach = { c: TenantContext; admin: Admin };

/**
 * The latest `limit` prompts, newest first, as JSON Lines. Throws `conflict` if a level does not
 * allow keeping any.
 */
export async function readSamples({ limit }: { limit: number }, { c, admin }: Reach): Promise<Response> {
  demandPrompts(c);
  const view = await liveView(c);
  const { traffic, retention } = await demandPermission(view, { c, admin });
  const { days } = retention;
  const prompts = Math.min(limit, await asking(() => traffic.count(days)));
  // First the entry: nothing is read that the log does not tell.
  await noteOwnTenant({ type: 'prompts-read', prompts }, { c, admin });
  return jsonLines(linesOf(traffic, { days, prompts }), { event: 'samples-broken', request: c.var.requestId });
}

export async function eraseSamples({ c, admin }: Reach): Promise<z.infer<typeof SamplesErased>> {
  demandPrompts(c);
  const { id } = await liveView(c);
  const traffic = tenantTraffic(c.env, id);
  const erased = traffic === null ? 0 : await asking(() => traffic.count(null));
  // First the erasure: the log tells of none that did not come to pass.
  await asking(async () => traffic?.erase());
  await noteOwnTenant({ type: 'prompts-erase', prompts: erased }, { c, admin });
  return { id, erased };
}

/** Whoever may change policies does not for that learn what people have asked. */
function demandPrompts(c: TenantContext): void {
  if (c.var.access.mayReadPrompts) return;
  throw new PlimsollError(
    'permission_denied',
    "This is about what clients have asked, so the API key needs the scope 'prompts' beside 'admin'. A key that has it can make one, or the operator.",
  );
}

async function liveView(c: TenantContext): Promise<TenantView> {
  const view = await viewOf(c);
  if (view.deleted_at !== null) throw noSuchTenant();
  return view;
}

/** What all levels allow; the key's own policy takes no part, because it is about its requests. */
async function demandPermission(
  view: TenantView,
  { c, admin: { operatorPolicy } }: Reach,
): Promise<{ traffic: TenantTrafficContract; retention: Retention }> {
  const traffic = tenantTraffic(c.env, view.id);
  if (traffic === null) throw notKept('This deployment keeps no prompts: it has no TENANT_TRAFFIC.');
  const levels: Level[] = [
    { level: 'operator', version: null, policy: operatorPolicy, problem: null },
    ...(await levelOfPlan(view.plan, c)),
    await readLevel('tenant', view.policy, view.policy_version),
  ];
  const { retention } = tightenAll(levels.map(({ policy }) => policy));
  if (keepsPrompts(retention)) return { traffic, retention };
  // What was kept stays where nobody can read it: a document may be out of reach for a moment.
  // The tenant's is the last: what is above it cannot be mended there.
  const forbids = levels.find(({ policy }) => !keepsPrompts(policy.retention))?.level ?? 'tenant';
  throw notKept(
    forbids === 'tenant'
      ? `This tenant's policy lets nobody keep prompts. Set 'retention' in it, as in "retention": { "traffic": true, "share": 0.01, "days": 7 }.`
      : `The ${forbids}'s policy lets nobody keep prompts, so this tenant's cannot allow it.`,
  );
}

function notKept(message: string): PlimsollError {
  return new PlimsollError('conflict', message, { param: 'retention' });
}

async function* linesOf(
  traffic: TenantTrafficContract,
  { days, prompts }: { days: number; prompts: number },
): AsyncGenerator<KeptPrompt, void, void> {
  let left = prompts;
  let before: number | null = null;
  while (left > 0) {
    const rows = await traffic.page({ days, before, limit: Math.min(left, PAGE) });
    for (const { kept_at, messages } of rows) {
      // Our own text, so it parses.
      const linked = JSON.parse(messages) as LinkedMessage[];
      yield { kept_at: new Date(kept_at).toISOString(), messages: linked.map(clientMessage) };
    }
    // Some may have come to their end meanwhile.
    if (rows.length === 0) return;
    left -= rows.length;
    before = rows.at(-1)?.seq ?? null;
  }
}
