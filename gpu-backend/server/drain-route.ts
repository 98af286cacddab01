/**
 * `POST /drain`: take nothing new and finish what there is, or take new requests again. The order
 * is signed with a key derived from the directive secret, names this backend, and works once.
 */
import type { Context } from 'hono';
import { drainKey, verifyDrainOrder } from '#shared/protocol/drain-order.ts';
import type { Drains } from './drains.ts';
import { orderToken } from './order-token.ts';
import { createUsedDirectives } from './used-directives.ts';

export function drainRoute({
  drains,
  directiveKeys,
  backendId,
}: {
  drains: Drains;
  directiveKeys: readonly Uint8Array[];
  backendId: string;
}) {
  const used = createUsedDirectives();
  return async (c: Context): Promise<Response> => {
    const token = orderToken(c.req.header('authorization'));
    const keys = await Promise.all(directiveKeys.map(drainKey));
    const { id, drain } = await verifyDrainOrder(token, { keys, backend: backendId });
    used.take(id);
    drains.set('request', drain);
    return c.json({ draining: drains.isDraining });
  };
}
