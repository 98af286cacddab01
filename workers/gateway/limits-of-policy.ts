/** What a policy's `limits` mean for the tenant's account. */
import type { Policy } from '#policies/schema.ts';
import type { Limits } from '../objects/tenant-account-contract.ts';

export function limitsOfPolicy({ limits }: Pick<Policy, 'limits'>): Limits {
  // About one answer, and not about what a tenant spends. The line sees to it.
  const { max_tokens: _maxTokens, ...ofTenant } = limits;
  return ofTenant;
}
