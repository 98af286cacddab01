/** `plimsoll policy log`: who changed what. */
import { Command } from 'commander';
import { positiveInteger } from '../options/numbers.ts';
import { type EdgeFlags, edgeOf, goodAnswer, onEdge, TENANT_REQUIRED, tenantAt, tenantOf } from './running-edge.ts';
import { stateOf } from './tenant-state.ts';

type Flags = EdgeFlags & { limit: number; json: boolean };

/** As many as the edge gives at once. */
const MOST = 1000;

export const log = () =>
  onEdge(new Command('log'), { scope: 'read', tenant: TENANT_REQUIRED })
    .description("list a tenant's audit log, newest first: when, who, what; and which version is active now")
    .option('--limit <n>', `how many entries, at most ${MOST}`, positiveInteger, 20)
    .option('--json', 'print the entries as JSON', false)
    .action(async ({ limit, json, ...flags }: Flags) => {
      const id = tenantOf(flags);
      const edge = edgeOf(flags);
      if (limit > MOST) throw new Error(`--limit: found ${limit}, wanted at most ${MOST}`);
      const query = { limit: String(limit) };
      const { data } = await goodAnswer(await edge.admin.tenants[':id'].audit.$get({ param: { id }, query }), edge);
      if (json) {
        console.log(JSON.stringify(data, null, 2));
        return;
      }
      console.log(stateOf(await tenantAt(id, edge)));
      const width = Math.max(0, ...data.map(({ actor }) => actor.length));
      for (const { seq, at, actor, action, detail } of data) {
        console.log(`${String(seq).padStart(5)}  ${at}  ${actor.padEnd(width)}  ${action}  ${JSON.stringify(detail)}`);
      }
    });
