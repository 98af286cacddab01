/**
 * The pool as one list, from what the settings name, what these said when asked, and what the
 * directory has heard.
 */
import type { PoolReport } from '#shared/protocol/pool-report.ts';
import type { PoolListing } from '../objects/pool-contract.ts';
import { type BackendState, stateOf } from '../objects/pool-membership.ts';
import type { ReportedLoad } from './affinity.ts';
import { inHelpfulnessPool, type PoolMember, servedBy, unheard } from './pool-member.ts';

/** How long a list is believed as it is. An operator's drain reaches an isolate this late. */
export const LIST_FRESH_MS = 2_000;

/** The directory's list, as this isolate has read it. */
export type HeardPool = {
  listing: PoolListing;
  readAtMs: number;
  /** This isolate's own requests under way when it was read, by backend. */
  own: ReadonlyMap<string, number>;
};

export type PoolSources = {
  /** The backends of the settings. */
  urls: readonly string[];
  /** Those that were asked themselves. */
  polled: readonly PoolMember[];
  /** null if the directory was never read. */
  heard: HeardPool | null;
  /** Whether the directory could not be read the last time. */
  isLost: boolean;
  nowMs: number;
};

/**
 * All backends: those of the settings in their order, then the registered ones by URL.
 *
 * A backend that the directory knows to be up need not be asked, and what it says in its heartbeats
 * counts. If the directory is lost, its silence says nothing about anyone: a backend stays what it
 * was, until it has been asked itself. The operator's drains hold for all, and stay while the
 * directory is lost.
 */
export function mergeMembers({ urls, polled, heard, isLost, nowMs }: PoolSources): PoolMember[] {
  const asked = new Map(polled.map((member) => [member.url, member]));
  const drained = new Set(heard?.listing.drains.map(({ url }) => url));
  const listed = new Map(heard?.listing.backends.map((backend) => [backend.report.url, backend]));
  return [...new Set([...urls, ...listed.keys()])].map((url) => {
    const backend = listed.get(url);
    const word = heard && backend && heardMember(backend, { heard, isLost, nowMs });
    const answer = asked.get(url);
    const member = (word && bestOf(word, answer, { isLost, isOwn: urls.includes(url) })) ?? answer ?? unheard(url);
    const counted = backend?.report.pool === 'helpfulness' ? inHelpfulnessPool(member) : member;
    return drained.has(url) ? { ...counted, alive: false, draining: true } : counted;
  });
}

/** The better word on a backend: its own through the directory, or its answer to us. */
function bestOf(
  { state, member }: HeardMember,
  answer: PoolMember | undefined,
  { isLost, isOwn }: { isLost: boolean; isOwn: boolean },
): PoolMember {
  if (answer === undefined || answer.model === null) return member;
  if (isLost) return { ...member, ...answer };
  // One that is silent may still reach us, if not the directory. Only the settings vouch for it
  // then.
  return isOwn && isSilent(state) ? answer : member;
}

type HeardMember = { state: BackendState; member: PoolMember };

const isSilent = (state: BackendState) => state === 'out' || state === 'gone';

function heardMember(
  { report, ageMs }: PoolListing['backends'][number],
  { heard, isLost, nowMs }: { heard: HeardPool; isLost: boolean; nowMs: number },
): HeardMember {
  const state = stateOf(report, ageMs + sinceFresh({ heard, isLost, nowMs }));
  const draining = state === 'draining' || state === 'gone';
  const reported = reportedLoad(report, heard.own.get(report.url) ?? 0);
  const about = { url: report.url, alive: state === 'up', draining, region: report.region, reported };
  return { state, member: { ...about, ...servedBy(report) } };
}

/** For how long the list has not been fresh: what may have been missed since. */
function sinceFresh({ heard, isLost, nowMs }: Pick<PoolSources, 'heard' | 'isLost' | 'nowMs'>): number {
  return heard === null || isLost ? 0 : Math.max(0, nowMs - heard.readAtMs - LIST_FRESH_MS);
}

function reportedLoad({ load, capacity }: PoolReport, own: number): ReportedLoad {
  // A request takes two rows at the most.
  return { requests: load.running + load.waiting, capacity: Math.max(1, Math.floor(capacity.rows / 2)), own };
}

/**
 * The backends to ask themselves: those of the settings that the directory does not vouch for and,
 * while it is lost, everyone else it had heard of.
 */
export function backendsToPoll({ urls, heard, isLost, nowMs }: Omit<PoolSources, 'polled'>): string[] {
  const backends = heard?.listing.backends ?? [];
  if (isLost) {
    const registered = backends.filter(({ report }) => report.status !== 'gone').map(({ report }) => report.url);
    return [...new Set([...urls, ...registered])];
  }
  const elapsedMs = sinceFresh({ heard, isLost, nowMs });
  const vouched = new Set(
    backends
      .filter(({ report, ageMs }) => !isSilent(stateOf(report, ageMs + elapsedMs)))
      .map(({ report }) => report.url),
  );
  return [...new Set(urls)].filter((url) => !vouched.has(url));
}
