/**
 * `GET /v1/models` and `GET /v1/models/:id`: what the pool serves. It includes dead backends for as
 * long as they are remembered. A model that the tenant's policy leaves out does not exist here.
 */
import type { ModelList } from '#shared/api/models.ts';
import type { AppContext, CallerEnv } from '../request/context.ts';
import { allowedMembers } from './allowed.ts';
import type { BackendPool, PoolMember } from './backend-pool.ts';
import { poolMembers } from './pool-members.ts';
import { membersServing, servedModels, unknownModel } from './served-models.ts';

export function listModels(pool: BackendPool) {
  return async (c: AppContext<CallerEnv>): Promise<Response> => {
    return c.json({ object: 'list', data: servedModels(await readMembers(pool, c), usable(c)) } satisfies ModelList);
  };
}

export function retrieveModel(pool: BackendPool) {
  return async (c: AppContext<CallerEnv>): Promise<Response> => {
    const id = c.req.param('id') ?? '';
    const members = await readMembers(pool, c, id);
    const [model] = servedModels(membersServing(members, id), usable(c));
    if (model === undefined) throw unknownModel(id, members);
    return c.json(model);
  };
}

/** Of the modes, only those that this tenant may ask for here are listed. */
const usable = ({ var: { caller, config } }: AppContext<CallerEnv>) => ({
  allowed: caller.policy.modes,
  mixes: config.edgeKey !== null,
});

async function readMembers(pool: BackendPool, c: AppContext<CallerEnv>, model?: string): Promise<PoolMember[]> {
  const members = await poolMembers(pool, c, model === undefined ? {} : { model });
  return allowedMembers(members, c.var.caller.policy, model);
}
