/** The pool as a request sees it: with its settings, and the directory where backends register. */
import { poolDirectory } from '../objects/pool-contract.ts';
import type { AppContext } from '../request/context.ts';
import type { BackendPool, PoolMember } from './backend-pool.ts';
import { inHelpfulnessPool } from './pool-member.ts';

/** All backends. Given a model, it waits a moment for one that serves it. */
export async function poolMembers(
  pool: BackendPool,
  c: Pick<AppContext, 'env' | 'var' | 'executionCtx'>,
  { model }: { model?: string } = {},
): Promise<PoolMember[]> {
  const { backends, helpfulnessBackends, registration } = c.var.config;
  const members = await pool.members([...backends, ...helpfulnessBackends], {
    waitUntil: (promise) => c.executionCtx.waitUntil(promise),
    ...(model !== undefined && { model }),
    readDirectory: registration ? () => poolDirectory(c.env).list() : undefined,
  });
  return members.map((member) => (helpfulnessBackends.includes(member.url) ? inHelpfulnessPool(member) : member));
}
