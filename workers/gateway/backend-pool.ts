/**
 * Which backends there are, whether they answer and what they serve. They come from two sources.
 * Those of the settings are asked for their `/healthz`; those that register tell the directory, and
 * the pool reads it. It keeps what it knows for a few seconds. Requests do not wait for news while
 * any backend is known to be alive. A backend that a request finds broken is out for all requests
 * at once (breaker.ts), so a wrong snapshot costs one request a retry and no more.
 *
 * A directory that cannot be reached closes nothing: its last list stays, and everyone on it is
 * asked like those of the settings.
 */
import { contextLengthExceeded, fewestTokens } from '#shared/api/context-length.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { modeUnavailable } from '#shared/api/mode-unavailable.ts';
import type { Tool } from '#shared/api/tool-calls.ts';
import type { Mode } from '#shared/line/line.ts';
import type { Message } from '#shared/protocol/generate.ts';
import { promptBytes } from '#shared/protocol/prompt-texts.ts';
import type { Region } from '#shared/protocol/regions.ts';
import type { PoolListing } from '../objects/pool-contract.ts';
import { logError, logInfo } from '../request/log.ts';
import { within } from '../request/within.ts';
import { createLoad, type Load, orderByAffinity } from './affinity.ts';
import { type Breaker, createBreaker } from './breaker.ts';
import { examineBackend, HEALTH_TIMEOUT_MS } from './examine-backend.ts';
import { backendsToPoll, type HeardPool, LIST_FRESH_MS, mergeMembers } from './merge-members.ts';
import { answers, isOnlyHelpful, type PoolMember, unheard } from './pool-member.ts';
import { createRetryBudgets, type RetryBudgets } from './retry-budget.ts';
import { membersServing } from './served-models.ts';

export type { PoolMember } from './pool-member.ts';

const FRESH_MS = 5_000;
/** How long the snapshot stays fresh while one of the backends is dead. */
const FRESH_IN_TROUBLE_MS = 1_000;
/** How long the directory's list stays fresh while nobody on it can be asked. */
const LIST_FRESH_IN_TROUBLE_MS = 500;
/** An isolate that was idle for this long waits for a new list, so that a drain holds there too. */
const LIST_OLD_MS = 10_000;
/** How long it waits. */
const LIST_WAIT_MS = 500;
const LIST_TIMEOUT_MS = 1_000;
/** How long we wait for the other backends once one has said that it is well. */
const SETTLE_MS = 250;
const POLL_MS = 25;
/** How long a backend rests after its first failure. */
const REST_MS = 1_000;

type MembersOptions = {
  waitUntil: (promise: Promise<unknown>) => void;
  model?: string;
  /** Reads the directory. Without it, only the backends of the settings count. */
  readDirectory?: (() => Promise<PoolListing>) | undefined;
};

export type BackendPool = Breaker & {
  /** What this isolate has under way on each backend. */
  readonly load: Load;
  /** How many more attempts this isolate may make, and each tenant of it. */
  readonly retries: RetryBudgets;
  /**
   * All backends, as last heard. Given a model, it waits until one that serves it is well, unless
   * all have been asked and none is.
   */
  members(urls: readonly string[], options: MembersOptions): Promise<PoolMember[]>;
  /** Call this when a backend turns out to serve another model than it was last heard to. */
  servesAnother(url: string): void;
};

export function createBackendPool({
  fetch = globalThis.fetch.bind(globalThis),
  now = Date.now,
  restMs = REST_MS,
}: {
  fetch?: typeof globalThis.fetch;
  now?: () => number;
  restMs?: number;
} = {}): BackendPool {
  const breaker = createBreaker({ restMs, now });
  const load = createLoad();
  let polled: PoolMember[] = [];
  let polledAtMs = Number.NEGATIVE_INFINITY;
  // These are times rather than flags, because a refresh dies with the request that started it and
  // would leave a flag set.
  let pollingSinceMs = Number.NEGATIVE_INFINITY;
  let readingSinceMs = Number.NEGATIVE_INFINITY;
  let heard: HeardPool | null = null;
  let triedAtMs = Number.NEGATIVE_INFINITY;
  let isLost = false;
  /** What requests have found out about registered backends since the list was read. */
  const noticed = new Map<string, Partial<PoolMember>>();
  const isPolling = () => now() - pollingSinceMs < HEALTH_TIMEOUT_MS;
  const isReading = () => now() - readingSinceMs < LIST_TIMEOUT_MS;

  async function poll(urls: readonly string[]): Promise<void> {
    pollingSinceMs = now();
    const before = new Map(polled.map((member) => [member.url, member]));
    polled = urls.map((url) => before.get(url) ?? unheard(url));
    // Each backend is in the snapshot as soon as it has answered, so none waits for one that hangs.
    const examined = polled.map(async (member) => {
      const answer = await examineBackend(member, fetch);
      polled = polled.map((one) => (one.url === answer.url ? answer : one));
    });
    await Promise.all(examined);
    polledAtMs = now();
    pollingSinceMs = Number.NEGATIVE_INFINITY;
  }

  async function read(readDirectory: () => Promise<PoolListing>): Promise<void> {
    readingSinceMs = now();
    try {
      const listing = await within(LIST_TIMEOUT_MS, readDirectory(), () => {
        throw new Error(`no answer in ${LIST_TIMEOUT_MS} ms`);
      });
      const own = new Map(listing.backends.map(({ report: { url } }) => [url, load.of(url)]));
      heard = { listing, readAtMs: now(), own };
      noticed.clear();
      if (isLost) logInfo({ event: 'pool-directory-back' });
      isLost = false;
    } catch (cause) {
      if (!isLost) logError({ event: 'pool-directory-lost', because: String(cause) });
      isLost = true;
    }
    triedAtMs = now();
    readingSinceMs = Number.NEGATIVE_INFINITY;
  }

  function known(urls: readonly string[]): PoolMember[] {
    const members = mergeMembers({ urls, polled, heard, isLost, nowMs: now() });
    if (noticed.size === 0) return members;
    // Those that are asked themselves have it in `polled`.
    const isAsked = (url: string) => polled.some((member) => member.url === url);
    return members.map((member) => (isAsked(member.url) ? member : { ...member, ...noticed.get(member.url) }));
  }

  /** Returns its own reading of the directory, or null if none is due or another request reads. */
  function refresh(
    urls: readonly string[],
    { waitUntil, readDirectory, isUsable }: MembersOptions & Usable,
  ): Promise<void> | null {
    const listFreshMs = isUsable() ? LIST_FRESH_MS : LIST_FRESH_IN_TROUBLE_MS;
    const isDue = readDirectory !== undefined && now() - triedAtMs > listFreshMs && !isReading();
    const reading = isDue ? read(readDirectory) : null;
    if (reading !== null) waitUntil(reading);
    const toPoll = backendsToPoll({ urls, heard, isLost, nowMs: now() });
    // What was asked long ago must not count once the directory says nothing any more.
    polled = polled.filter(({ url }) => toPoll.includes(url));
    if (toPoll.length === 0 || isPolling()) return reading;
    const inTrouble = !isUsable() || polled.some(({ alive }) => !alive) || polled.length < toPoll.length;
    const isStale = now() - polledAtMs > (inTrouble ? FRESH_IN_TROUBLE_MS : FRESH_MS);
    // A request for a model that does not exist must not cause a round of questions each time.
    const isDeserted = !known(urls).some(({ alive }) => alive);
    if (isStale || isDeserted) waitUntil(poll(toPoll));
    return reading;
  }

  /** Waits until all have been examined, or until one is well and the others have had a moment. */
  async function untilUsable(urls: readonly string[], options: MembersOptions & Usable): Promise<void> {
    let settled = Number.POSITIVE_INFINITY;
    let wasLost = isLost;
    // We poll, because in workerd one request cannot wait for a promise of another.
    while ((isPolling() || isReading()) && now() < settled) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      // If the directory has just failed, there are more backends to ask ourselves.
      if (isLost && !wasLost) refresh(urls, options);
      wasLost = isLost;
      if (settled === Number.POSITIVE_INFINITY && options.isUsable()) settled = now() + SETTLE_MS;
    }
  }

  async function untilRead(): Promise<void> {
    while (isReading()) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }

  return {
    ...breaker,
    load,
    retries: createRetryBudgets({ now }),
    failed(url) {
      breaker.failed(url);
      polled = polled.map((member) => (member.url === url ? { ...member, alive: false } : member));
      noticed.set(url, { alive: false });
    },
    servesAnother(url) {
      polled = polled.map((member) => (member.url === url ? unheard(url) : member));
      polledAtMs = Number.NEGATIVE_INFINITY;
      noticed.set(url, unheard(url));
      triedAtMs = Number.NEGATIVE_INFINITY;
    },
    async members(urls, options) {
      const { model, readDirectory } = options;
      const isUsable = () => known(urls).some((member) => answers(member) && (model ?? member.model) === member.model);
      const usable = { ...options, isUsable };
      const reading = refresh(urls, usable);
      const isOld = readDirectory !== undefined && now() - (heard?.readAtMs ?? Number.NEGATIVE_INFINITY) > LIST_OLD_MS;
      if (isOld && !isLost) await within(LIST_WAIT_MS, reading ?? untilRead(), () => undefined);
      if (!isUsable()) await untilUsable(urls, usable);
      return known(urls);
    },
  };
}

type Usable = { isUsable: () => boolean };

/**
 * The backends to try for a prompt, best first, among those of its model: the living ones in the
 * order of affinity.ts, then those that were last seen dead. None that drains is among them.
 *
 * If the prompt is to be looked at a second time and any backend of its model has a probe, only
 * those that have one may be asked, dead or not. Text and mode are the client's, so else it could
 * choose not to be looked at.
 */
export function chooseBackends(
  members: readonly PoolMember[],
  {
    model,
    messages,
    mode,
    looks,
    load,
    from = null,
  }: {
    model: string;
    messages: readonly Message[];
    mode: Mode;
    /** Whether the policy has rules for a second look. */
    looks: boolean;
    load: Pick<Load, 'of'>;
    /** Where this edge is. */
    from?: Region | null;
  },
): PoolMember[] {
  if (!members.some(({ alive }) => alive)) {
    throw new PlimsollError('backend_unavailable', 'No backend is available. Please try again.', {
      detail: { members },
    });
  }
  const serving = membersServing(members, model);
  const looking = looks ? serving.filter(({ secondLook }) => secondLook !== null) : [];
  const able = (looking.length > 0 ? looking : serving).filter(({ modes }) => modes.includes(mode));
  if (able.length === 0) throw modeUnavailable(mode);
  const taking = able.filter(({ draining }) => draining !== true);
  if (taking.length === 0) {
    throw new PlimsollError('backend_unavailable', `All backends of '${model}' are draining. Please try again.`);
  }
  const alive = taking.filter((member) => member.alive);
  const dead = taking.filter((member) => !member.alive);
  return [alive, dead].flatMap((members) => orderByAffinity(members, { messages, load, from }));
}

/**
 * Refuses a prompt that fits no backend's context, whatever its tokens turn out to be. The check
 * only looks at the length, so it comes before anything reads the prompt.
 */
export function refuseTooLong(
  members: readonly PoolMember[],
  { model, messages, tools = [] }: { model: string; messages: readonly Message[]; tools?: readonly Tool[] },
): void {
  const bytes = promptBytes({ messages, tools });
  const fewest = members
    .filter((member) => member.model === model && !isOnlyHelpful(member))
    .map(({ contextLength, maxTokenBytes }) => ({ contextLength, tokens: fewestTokens(bytes, maxTokenBytes) }));
  const longest = fewest.toSorted((a, b) => b.contextLength - a.contextLength)[0];
  if (longest === undefined || fewest.some(({ contextLength, tokens }) => tokens < contextLength)) return;
  throw contextLengthExceeded(longest.tokens, longest.contextLength, { atLeast: true });
}
