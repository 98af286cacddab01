/** `plimsoll policy push`: stores a version at an edge, which decides nothing yet. */
import { Command } from 'commander';
import { lineOf } from './diff.ts';
import { type EdgeFlags, edgeOf, goodAnswer, onEdge, readTenantPolicy, tenantAt, tenantOf } from './running-edge.ts';

type Flags = EdgeFlags & { json: boolean };

export const push = () =>
  onEdge(new Command('push'), { scope: 'admin' })
    .description("store a tenant's policy at an edge, as a version that decides nothing yet, and show what it changes")
    .argument('<file>', "the tenant's policy, as JSON")
    .option('--json', 'print version, revision and changes as JSON', false)
    .action(async (file: string, { json, ...flags }: Flags) => {
      const { policy, version } = await readTenantPolicy(file);
      const id = tenantOf(flags, file);
      const edge = edgeOf(flags);
      const draft = await goodAnswer(
        await edge.admin.tenants[':id'].policies.$post({ param: { id }, json: { policy } }),
        edge,
      );
      if (draft.version !== version) {
        throw new Error(
          `${edge.url} calls this version ${draft.version}, and this plimsoll ${version}: are they of one release?`,
        );
      }
      const tenant = await tenantAt(id, edge);
      const { changes } = await goodAnswer(
        await edge.admin.tenants[':id'].policies[':version'].diff.$get({ param: { id, version }, query: {} }),
        edge,
      );
      if (json) {
        console.log(JSON.stringify({ tenant: id, ...draft, revision: tenant.revision, changes }, null, 2));
        return;
      }
      console.log(
        `${version} ${draft.created ? 'is stored' : 'was there already'} (${id}, revision ${tenant.revision})`,
      );
      if (tenant.policy_version === version) console.log('it is the active version');
      for (const change of changes) console.log(lineOf(change));
    });
