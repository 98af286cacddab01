/**
 * `plimsoll policy verify`: whether an audit log is whole. It fetches every entry and computes all
 * hashes here, so an edge that says so without having looked is found out.
 */
import { Command, InvalidArgumentError } from 'commander';
import type * as z from 'zod';
import type { AuditAnswer, AuditVerdictAnswer } from '#workers/control/admin-answers.ts';
import { type AuditEntry, type AuditHead, verifyChain } from '#workers/objects/audit-chain.ts';
import { type Edge, type EdgeFlags, edgeOf, goodAnswer, onEdge, tenantOf } from './running-edge.ts';

type Flags = EdgeFlags & { deployment: boolean; known?: AuditHead; json: boolean };

const PAGE = 1000;

export const verify = () =>
  onEdge(new Command('verify'), { scope: 'read', tenant: 'the tenant (required, unless there is --deployment)' })
    .description(
      "check the hashes of a whole audit log here, and that it ends where another of the edge's objects says",
    )
    .option(
      '--deployment',
      "the log of the whole deployment in place of a tenant's; it needs the operator's key",
      false,
    )
    .option('--known <seq:hash>', 'an entry that an earlier verify printed: the log must still have it', knownHead)
    .option('--json', 'print the verdict as JSON', false)
    .addHelpText('after', '\nExits with 1 if the log is not whole. Keep the last line somewhere else, for --known.')
    .action(async ({ deployment, known, json, ...flags }: Flags) => {
      if (deployment && flags.tenant !== undefined) throw new Error('--deployment and --tenant: give one of the two');
      const edge = edgeOf(flags, { asOperator: deployment });
      const log = deployment ? logOfDeployment(edge) : logOfTenant(tenantOf(flags), edge);
      // The edge is asked first: an entry that comes between the two is no fault.
      const said = await log.verdict();
      const entries = await entriesOf(log, edge);
      const heads = [known, said.known].filter((head) => head !== undefined && head !== null);
      const found = await verifyChain(entries, ...heads);
      const theirs = said.valid ? await verifyChain(entries, { seq: said.entries, hash: said.head }) : said;
      const verdict = found.valid ? { ...theirs, entries: found.entries, head: found.head } : found;
      if (!verdict.valid) process.exitCode = 1;
      if (json) console.log(JSON.stringify({ ...log.about, ...verdict, known: said.known }, null, 2));
      else if (verdict.problem !== null) {
        console.error(`${log.name}: the audit log is not whole: entry ${verdict.problem.seq}: ${verdict.problem.why}`);
      } else {
        console.log(`${log.name}: the audit log is whole, ${verdict.entries} entries`);
        console.log(`${verdict.entries}:${verdict.head}`);
        if (said.known === null) console.error('no other object of this edge knows where it ends; only --known tells');
      }
    });

type Page = { limit: string; before?: string };

/** How one log is asked for. */
type Log = {
  name: string;
  about: object;
  verdict: () => Promise<z.infer<typeof AuditVerdictAnswer>>;
  page: (query: Page) => Promise<z.infer<typeof AuditAnswer>[]>;
};

function logOfTenant(id: string, edge: Edge): Log {
  const { audit } = edge.admin.tenants[':id'];
  return {
    name: id,
    about: { tenant: id },
    verdict: async () => goodAnswer(await audit.verify.$get({ param: { id } }), edge),
    page: async (query) => (await goodAnswer(await audit.$get({ param: { id }, query }), edge)).data,
  };
}

function logOfDeployment(edge: Edge): Log {
  const { audit } = edge.admin;
  return {
    name: 'the deployment',
    about: {},
    verdict: async () => goodAnswer(await audit.verify.$get({ query: {} }), edge),
    page: async (query) => (await goodAnswer(await audit.$get({ query }), edge)).data,
  };
}

/**
 * All entries, oldest first, as they were hashed. Throws if a page does not go on below the one
 * before: an edge that gives the same entries again would never come to an end.
 */
async function entriesOf(log: Log, edge: Edge): Promise<AuditEntry[]> {
  const pages: AuditEntry[][] = [];
  for (let before: number | undefined; before !== 1; ) {
    const query = { limit: String(PAGE), ...(before !== undefined && { before: String(before) }) };
    const data = await log.page(query);
    if (data.length === 0) break;
    for (const { seq } of data) {
      if (!(Number.isInteger(seq) && seq >= 1 && seq < (before ?? Number.POSITIVE_INFINITY))) {
        throw new Error(
          `${edge.url}: the audit log of ${log.name} makes no progress: found entry ${seq}, wanted one from 1 to ${(before ?? Number.MAX_SAFE_INTEGER) - 1}`,
        );
      }
      before = seq;
    }
    // The edge parses its own JSON, and writing that again gives the same text.
    pages.push(data.map((entry) => ({ ...entry, detail: JSON.stringify(entry.detail) })));
  }
  return pages.flat().reverse();
}

function knownHead(text: string): AuditHead {
  const [, seq, hash] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text) ?? [];
  if (seq !== undefined && hash !== undefined) return { seq: Number(seq), hash };
  throw new InvalidArgumentError('wanted SEQ:HASH, as the last line of an earlier verify.');
}
