/**
 * The kept prompts of a tenant, with an alarm that tests ring, and that can be made to fail or to
 * hang. Everything else is real.
 */
import { KEEPS_NOTHING, type Retention } from '#policies/retention.ts';
import type { TenantIndexBinding, TenantObjectBinding, TenantObjectContract } from '../../objects/tenant-contracts.ts';
import type { TenantTrafficBinding } from '../../objects/tenant-traffic-contract.ts';
import { TenantTraffic } from '../../traffic/tenant-traffic.ts';
import type { TrafficCall } from './traffic-call.ts';

/** Calls the object for a test, as `callAccount` does. */
export async function callTraffic(request: Request, env: TenantTrafficBinding): Promise<Response> {
  // The cast: the test sends it.
  const { tenant, call, argument } = (await request.json()) as TrafficCall;
  // The cast: this is the class behind the binding.
  const traffic = env.TENANT_TRAFFIC?.getByName(tenant) as unknown as ScriptedTraffic;
  const isAboutPrompt = call === 'keep' || call === 'race';
  // The cast: as above.
  const answer = isAboutPrompt ? await traffic[call](tenant, argument as Prompt) : await traffic[call]();
  return Response.json(answer ?? null);
}

type Prompt = { messages: string; days: number };

export class ScriptedTraffic extends TenantTraffic {
  readonly #tenants: { wait: Promise<void> };
  #next: 'fail' | 'hang' | null = null;
  #stays = false;
  #operatorForbids = false;

  constructor(ctx: DurableObjectState, env: TenantIndexBinding & TenantObjectBinding) {
    const tenants = { wait: Promise.resolve() };
    const getByName = (name: string): TenantObjectContract => {
      const read = async (tenant: string) => {
        const view = await env.TENANT_OBJECT.getByName(name).read(tenant);
        await tenants.wait;
        return view;
      };
      // The cast: the class reads, and does nothing else there.
      return { read } as TenantObjectContract;
    };
    super(ctx, { ...env, TENANT_OBJECT: { getByName } });
    this.#tenants = tenants;
  }

  /** Rings its alarm. Returns in how many ms it would have rung, and rings next; null: not. */
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

  /** The next prompt is not kept, with an error that quotes it. */
  async fail(): Promise<void> {
    this.#next = 'fail';
  }

  /** The next prompt takes longer than any test. */
  async hang(): Promise<void> {
    this.#next = 'hang';
  }

  /** The next erasure fails. */
  async stay(): Promise<void> {
    this.#stays = true;
  }

  /** From now on, the operator's policy forbids it. */
  async forbid(): Promise<void> {
    this.#operatorForbids = true;
  }

  protected override get operatorRetention(): Retention {
    return this.#operatorForbids ? KEEPS_NOTHING : super.operatorRetention;
  }

  /** All is erased after a prompt has come and before it is kept. Returns whether it was. */
  async race(tenant: string, prompt: Prompt): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#tenants.wait = promise;
    const kept = this.keep(tenant, prompt);
    await this.erase();
    resolve();
    return kept;
  }

  override async erase(): Promise<void> {
    if (this.#stays) {
      this.#stays = false;
      throw new Error('scripted failure of an erasure');
    }
    return super.erase();
  }

  override async keep(tenant: string, prompt: Prompt): Promise<boolean> {
    const next = this.#next;
    this.#next = null;
    if (next === 'fail') throw new Error(`scripted failure at ${prompt.messages}`);
    if (next === 'hang') await scheduler.wait(600_000);
    return super.keep(tenant, prompt);
  }
}
