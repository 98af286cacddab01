/** `plimsoll policy rollback`: ends a canary, or goes back to the version before. */
import {
  type ChangeFlags,
  changesTenant,
  edgeOf,
  goodAnswer,
  ifMatch,
  TENANT_REQUIRED,
  tenantOf,
} from './running-edge.ts';
import { stateOf } from './tenant-state.ts';

export const rollback = () =>
  changesTenant('rollback', { tenant: TENANT_REQUIRED })
    .description('end a canary; without one, go back to the version that was active before, each time one further')
    .action(async (flags: ChangeFlags) => {
      const id = tenantOf(flags);
      const edge = edgeOf(flags);
      const answer = await edge.admin.tenants[':id'].rollback.$post(
        { param: { id } },
        await ifMatch(flags, { edge, id }),
      );
      console.log(stateOf(await goodAnswer(answer, edge)));
    });
