/**
 * The audit log as a chain: each entry's hash covers the entry and the hash before it. So nobody
 * can change, drop or insert an entry without changing every hash after it. What a chain cannot
 * show by itself is that its end was cut off. For that, somebody else has to know a later hash: the
 * index knows the head of each tenant's chain, the witness that of the index's, and anybody can
 * keep either.
 */
import { canonicalJson } from '#shared/protocol/canonical-json.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';

/** What happened. `tenant` is empty if it concerns no single tenant. `detail` is JSON. */
export type AuditEvent = { at: string; actor: string; action: string; tenant: string; detail: string };

/** `previous` is the hash of the entry before. `seq` counts from 1, without gaps. */
export type AuditEntry = AuditEvent & { seq: number; previous: string; hash: string };

/** The end of a chain. */
export type AuditHead = { seq: number; hash: string };

/** The head of a chain without entries. */
export const NO_AUDIT: AuditHead = { seq: 0, hash: '0'.repeat(64) };

/** SHA-256, as lower-case hex, over the entry's canonical JSON without its own hash. */
async function hashOf({ seq, at, actor, action, tenant, detail, previous }: Omit<AuditEntry, 'hash'>): Promise<string> {
  return sha256Hex(canonicalJson({ seq, at, actor, action, tenant, detail, previous }));
}

/** Appends events to a chain that ends at `head`. Returns the new entries. */
export async function chainEvents(head: AuditHead, events: readonly AuditEvent[]): Promise<AuditEntry[]> {
  const entries: AuditEntry[] = [];
  let { seq, hash: previous } = head;
  for (const event of events) {
    seq += 1;
    const entry = { ...event, seq, previous };
    const hash = await hashOf(entry);
    entries.push({ ...entry, hash });
    previous = hash;
  }
  return entries;
}

export type AuditVerdict = {
  valid: boolean;
  /** How many entries there are. */
  entries: number;
  /** The hash of the last entry; 64 zeros if there is none. */
  head: string;
  /** The first entry that is wrong, and why; null if all are right. */
  problem: { seq: number; why: string } | null;
};

/** With the last entry that another object knows; null if there is none to know one. */
export type WitnessedVerdict = AuditVerdict & { known: AuditHead | null };

/**
 * Checks that entries follow a chain that ends at `head`. Returns the first that does not, and why.
 */
export async function problemAfter(head: AuditHead, entries: readonly AuditEntry[]): Promise<AuditVerdict['problem']> {
  for (const entry of entries) {
    const problem = await problemOf(entry, { head, known: [] });
    if (problem !== null) return problem;
    head = { seq: entry.seq, hash: entry.hash };
  }
  return null;
}

/**
 * What a witness that knows `known` knows once it is told of entries, in order. It skips those that
 * it has already, because whoever tells may not know how far an earlier call came. If the rest does
 * not follow, it keeps what it knows.
 */
export async function witnessed(known: AuditHead, entries: readonly AuditEntry[]): Promise<AuditHead> {
  const news = entries.filter(({ seq }) => seq > known.seq);
  const [first, last] = [news[0], news.at(-1)];
  if (first === undefined || last === undefined) return known;
  // A log that is older than its witness. What came before is in the first entry's hash.
  const before = known.seq === NO_AUDIT.seq ? { seq: first.seq - 1, hash: first.previous } : known;
  return (await problemAfter(before, news)) === null ? { seq: last.seq, hash: last.hash } : known;
}

/**
 * Checks every entry, and that the chain still contains each of `known`, heads that somebody noted
 * earlier.
 */
export async function verifyChain(entries: Iterable<AuditEntry>, ...known: AuditHead[]): Promise<AuditVerdict> {
  let head = NO_AUDIT;
  let problem: AuditVerdict['problem'] = null;
  let count = 0;
  for (const entry of entries) {
    count += 1;
    problem ??= await problemOf(entry, { head, known });
    head = { seq: entry.seq, hash: entry.hash };
  }
  const last = Math.max(0, ...known.map(({ seq }) => seq));
  if (problem === null && head.seq < last) {
    problem = { seq: head.seq + 1, why: `the chain ends here, but entry ${last} was known` };
  }
  return { valid: problem === null, entries: count, head: head.hash, problem };
}

async function problemOf(
  entry: AuditEntry,
  { head, known }: { head: AuditHead; known: readonly AuditHead[] },
): Promise<AuditVerdict['problem']> {
  const { seq } = entry;
  if (seq !== head.seq + 1) return { seq, why: `entry ${head.seq + 1} is missing` };
  if (entry.previous !== head.hash) return { seq, why: 'it does not follow the entry before it' };
  if (entry.hash !== (await hashOf(entry))) return { seq, why: 'it is not what was written' };
  if (known.some((each) => each.seq === seq && each.hash !== entry.hash)) {
    return { seq, why: 'it is not the entry that was known' };
  }
  return null;
}
