/** What a registered backend says of itself, for tests of the pool. */
import { PoolReport } from '#shared/protocol/pool-report.ts';
import type { PoolListing } from '../objects/pool-contract.ts';

export function poolReport(url: string, changes: Partial<PoolReport> = {}): PoolReport {
  return PoolReport.parse({
    url,
    status: 'ok',
    backend: url,
    model: 'scripted',
    region: null,
    context_length: 64,
    max_token_bytes: 16,
    bundle: 'b1',
    draws: '01234567',
    modes: ['logits'],
    experts: { safety: { kind: 'adapter' }, helpfulness: { kind: 'base' } },
    heartbeat_ms: 5_000,
    capacity: { rows: 32, waiting: 64 },
    load: { running: 0, waiting: 0, rows: 0 },
    prefixes: { queried_tokens: 0, found_tokens: 0, bytes: 0 },
    ...changes,
  });
}

/** A directory's list of backends that were heard just now, unless `ages` says otherwise. */
export function poolListing(
  reports: readonly PoolReport[],
  { drained = [], ages = {} }: { drained?: readonly string[]; ages?: Readonly<Record<string, number>> } = {},
): PoolListing {
  return {
    backends: reports.map((report) => ({ report, ageMs: ages[report.url] ?? 0, heardAtMs: 0, sinceMs: 0 })),
    drains: drained.map((url) => ({ url, by: 'operator', atMs: 0 })),
  };
}
