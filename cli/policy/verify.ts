/**
 * `plimsoll policy verify`: whether an audit log is whole. It fetches every entry and computes all
 * hashes here, so an edge that says so without having looked is found out.
 */
import { Command, InvalidArgumentError } from 'commander';
import { type AuditEntry, type AuditHead, verifyChain } from '#workers/objects/audit-chain.ts';
import { type Edge, type EdgeFlags, edgeOf, goodAnswer, onEdge, tenantOf } from './running-edge.ts';

type Flags = EdgeFlags & { known?: AuditHead; json: boolean };

const PAGE = 1000;

export const verify = () =>
  onEdge(new Command('verify'), { scope: 'read' })
    .description("check the hashes of a tenant's whole audit log here, and that it ends where the edge's index says")
    .option('--known <seq:hash>', 'an entry that an earlier verify printed: the log must still have it', knownHead)
    .option('--json', 'print the verdict as JSON', false)
    .addHelpText('after', '\nExits with 1 if the log is not whole. Keep the last line somewhere else, for --known.')
    .action(async ({ known, json, ...flags }: Flags) => {
      const id = tenantOf(flags);
      const edge = edgeOf(flags);
      // The edge is asked first: an entry that comes between the two is no fault.
      const said = await goodAnswer(await edge.admin.tenants[':id'].audit.verify.$get({ param: { id } }), edge);
      const entries = await entriesOf(id, edge);
      const found = await verifyChain(entries, known);
      const theirs = said.valid ? await verifyChain(entries, { seq: said.entries, hash: said.head }) : said;
      const verdict = found.valid ? { ...theirs, entries: found.entries, head: found.head } : found;
      if (!verdict.valid) process.exitCode = 1;
      if (json) console.log(JSON.stringify({ tenant: id, ...verdict }, null, 2));
      else if (verdict.problem !== null) {
        console.error(`${id}: the audit log is not whole: entry ${verdict.problem.seq}: ${verdict.problem.why}`);
      } else {
        console.log(`${id}: the audit log is whole, ${verdict.entries} entries`);
        console.log(`${verdict.entries}:${verdict.head}`);
      }
    });

/**
 * All entries, oldest first, as they were hashed. Throws if a page does not go on below the one
 * before: an edge that gives the same entries again would never come to an end.
 */
async function entriesOf(id: string, edge: Edge): Promise<AuditEntry[]> {
  const pages: AuditEntry[][] = [];
  for (let before: number | undefined; before !== 1; ) {
    const query = { limit: String(PAGE), ...(before !== undefined && { before: String(before) }) };
    const { data } = await goodAnswer(await edge.admin.tenants[':id'].audit.$get({ param: { id }, query }), edge);
    if (data.length === 0) break;
    for (const { seq } of data) {
      if (!(Number.isInteger(seq) && seq >= 1 && seq < (before ?? Number.POSITIVE_INFINITY))) {
        throw new Error(
          `${edge.url}: the audit log of ${id} makes no progress: found entry ${seq}, wanted one from 1 to ${(before ?? Number.MAX_SAFE_INTEGER) - 1}`,
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
