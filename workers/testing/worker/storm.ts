/** A Worker that asks one account for many reservations at once, and settles each at once. */
import {
  type Ask,
  NO_LIMITS,
  type TenantAccountBinding,
  tenantAccount,
} from '../../objects/tenant-account-contract.ts';
import type { Calm, Storm } from './account-call.ts';

export default {
  async fetch(request: Request, env: TenantAccountBinding): Promise<Response> {
    // The cast: the test sends it.
    const { requests, limit, crashEvery } = (await request.json()) as Storm;
    const account = tenantAccount(env, 'storm')!;
    const calm: Calm = { granted: 0, denied: 0, reserved: 0, spent: 0 };
    const spender = { tenant: 'storm', key: 'first', model: 'scripted' };

    async function one(index: number): Promise<void> {
      const tokens = 1 + (index % 50);
      const limits = { ...NO_LIMITS, tokens_per_day: limit };
      const ask: Ask = {
        id: `r${index}`,
        spender,
        tokens,
        limits,
        caps: limits,
        operatorCaps: limits,
        prompt: '',
        idempotency: null,
      };
      const { outcome } = await account.reserve(ask);
      if (outcome !== 'granted') {
        calm.denied++;
        return;
      }
      calm.granted++;
      calm.reserved += tokens;
      // Nobody knows what a request has spent that is never settled, so all of it counts.
      const isSettled = index % crashEvery > 0;
      const completion = isSettled ? Math.min(tokens, index % 7) : tokens;
      calm.spent += completion;
      if (isSettled) await account.settle({ id: ask.id, spender, spent: { prompt: 0, completion }, unlimited: false });
    }

    await Promise.all(Array.from({ length: requests }, (_, index) => one(index)));
    return Response.json(calm);
  },
};
export { TenantAccount } from '../../account/tenant-account.ts';
