/** What the index says when it does not give a tenant what a change needs. */
import type { Claim, ClaimResult } from './tenant-contracts.ts';
import type { Refusal } from './tenant-state.ts';

export function refusalOfClaim(result: Extract<ClaimResult, { granted: false }>, claim: Claim): Refusal {
  switch (result.reason) {
    case 'key': {
      const { keyIndex, holder } = result;
      return {
        code: 'invalid_request',
        message: 'This key belongs to another tenant.',
        param: `keys[${keyIndex}].sha256`,
        holder,
      };
    }
    case 'plan':
      return { code: 'invalid_value', message: `There is no plan '${claim.plan}'.`, param: 'plan' };
    case 'deleted':
      return {
        code: 'conflict',
        message: 'A tenant of this id was deleted. Ids are not used again, so that old receipts keep their meaning.',
        param: 'id',
      };
    default:
      return result satisfies never;
  }
}
