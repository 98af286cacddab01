/** The stored responses of a tenant, with an alarm that tests ring. Everything else is real. */
import type { TenantResponsesBinding } from '../../objects/tenant-responses-contract.ts';
import { TenantResponses } from '../../stored-responses/tenant-responses.ts';

/** Rings the alarm of a tenant's responses. */
export async function ringResponses(request: Request, env: TenantResponsesBinding): Promise<Response> {
  const tenant = await request.text();
  // The cast: this is the class behind the binding.
  const responses = env.TENANT_RESPONSES?.getByName(tenant) as unknown as ScriptedResponses;
  return Response.json(await responses.ring());
}

export class ScriptedResponses extends TenantResponses {
  /** Returns in how many ms it would have rung, and rings next; null: not. */
  async ring(): Promise<{ inMs: number | null; againInMs: number | null }> {
    const until = async () => {
      const at = await this.ctx.storage.getAlarm();
      return at === null ? null : at - Date.now();
    };
    const inMs = await until();
    await this.ctx.storage.deleteAlarm();
    await this.alarm();
    return { inMs, againInMs: await until() };
  }
}
