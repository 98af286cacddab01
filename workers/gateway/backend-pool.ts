/**
 * Which backends there are, whether they answer and what they serve. The pool keeps a snapshot of
 * their `/healthz` for a few seconds. Requests do not wait for it while any backend is known to be
 * alive. A backend that a request finds broken is out for all requests at once (breaker.ts), so a
 * wrong snapshot costs one request a retry and no more.
 */
import * as z from 'zod';
import { contextLengthExceeded, fewestTokens, utf8Bytes } from '#shared/api/context-length.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { modeUnavailable } from '#shared/api/mode-unavailable.ts';
import { PLAIN_SAMPLING, Sampling } from '#shared/api/sampling.ts';
import { MODES, type Mode } from '#shared/line/line.ts';
import type { Message } from '#shared/protocol/generate.ts';
import { createLoad, type Load, orderByAffinity } from './affinity.ts';
import { type Breaker, createBreaker } from './breaker.ts';
import { membersServing } from './served-models.ts';

const FRESH_MS = 5_000;
/** How long the snapshot stays fresh while one of the backends is dead. */
const FRESH_IN_TROUBLE_MS = 1_000;
/** How long we wait for the other backends once one has said that it is well. */
const SETTLE_MS = 250;
const POLL_MS = 25;
/** How long a backend rests after its first failure. */
const REST_MS = 1_000;
const HEALTH_TIMEOUT_MS = 2_000;

/**
 * The part of a backend's health report that the edge acts on. A backend that drains or warms up
 * gives another status. The report also says how many requests run and wait there, but the edge
 * does not read that: it is seconds old, and the edge counts its own requests.
 */
const Health = z.object({
  status: z.literal('ok'),
  /** Its name. We only need it to be there: a server that has none is not a backend. */
  backend: z.string(),
  model: z.string(),
  context_length: z.int(),
  /** UTF-8 bytes of its longest token. */
  max_token_bytes: z.int().min(1),
  /** When its bundle was made, in Unix seconds. */
  created: z.int().optional(),
  /** The name of its weights, as receipts use it. */
  bundle: z.string().optional(),
  /** The modes that its bundle has routers for. We leave out modes that this edge does not know. */
  modes: z
    .array(z.string())
    .transform((modes) => MODES.filter((mode) => modes.includes(mode)))
    .default(['logits']),
  /** The version of the probe that looks at prompts a second time; null if its bundle has none. */
  second_look: z.string().nullable().default(null),
  /** How its model draws where a client names nothing. */
  sampling: z.object(Sampling.shape).default(PLAIN_SAMPLING),
});

export type PoolMember = {
  url: string;
  alive: boolean;
  /** As last heard; null if the backend never answered. */
  model: string | null;
  contextLength: number;
  maxTokenBytes: number;
  bundle: string | null;
  /** Unix seconds; null if unknown. */
  created: number | null;
  modes: readonly Mode[];
  /** The version of its probe; null if it cannot look at prompts a second time. */
  secondLook: string | null;
  sampling: Sampling;
};

export type BackendPool = Breaker & {
  /** What this isolate has under way on each backend. */
  readonly load: Load;
  /**
   * All backends, as last heard. Given a model, it waits until one that serves it is well, unless
   * all have been asked and none is.
   */
  members(
    urls: readonly string[],
    options: { waitUntil: (promise: Promise<unknown>) => void; model?: string },
  ): Promise<PoolMember[]>;
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
  let snapshot: PoolMember[] = [];
  let takenAtMs = Number.NEGATIVE_INFINITY;
  // This is a time rather than a flag, because a refresh dies with the request that started it and
  // would leave a flag set.
  let refreshingSinceMs = Number.NEGATIVE_INFINITY;
  const isRefreshing = () => now() - refreshingSinceMs < HEALTH_TIMEOUT_MS;

  async function refresh(urls: readonly string[]): Promise<void> {
    refreshingSinceMs = now();
    const before = new Map(snapshot.map((member) => [member.url, member]));
    snapshot = urls.map((url) => before.get(url) ?? { ...UNHEARD, url });
    // Each backend is in the snapshot as soon as it has answered, so none waits for one that hangs.
    const examined = snapshot.map(async (member, index) => {
      const health = await examine(member);
      snapshot = snapshot.with(index, health);
    });
    await Promise.all(examined);
    takenAtMs = now();
    refreshingSinceMs = Number.NEGATIVE_INFINITY;
  }

  async function examine(before: PoolMember): Promise<PoolMember> {
    const dead = { ...before, alive: false };
    try {
      const signal = AbortSignal.timeout(HEALTH_TIMEOUT_MS);
      const ask = () => fetch(`${before.url}/healthz`, { signal });
      // We ask a second time, because the other end may have closed a kept-alive connection.
      const answer = await ask().catch((cause: unknown) => {
        if (signal.aborted) throw cause;
        return ask();
      });
      const health = Health.safeParse(await answer.json());
      if (!answer.ok || !health.success) return dead;
      const {
        model,
        context_length: contextLength,
        max_token_bytes: maxTokenBytes,
        bundle = null,
        created = null,
        modes,
        second_look: secondLook,
        sampling,
      } = health.data;
      const heard = { model, contextLength, maxTokenBytes, bundle, created, modes, secondLook, sampling };
      return { url: before.url, alive: true, ...heard };
    } catch {
      // A backend that does not answer is a result here, not an error. The snapshot records it, and
      // a request that finds no backend is logged.
      return dead;
    }
  }

  /** Waits until all have been examined, or until one is well and the others have had a moment. */
  async function untilUsable(isUsable: () => boolean): Promise<void> {
    let settled = Number.POSITIVE_INFINITY;
    // We poll, because in workerd one request cannot wait for a promise of another.
    while (isRefreshing() && now() < settled) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      if (settled === Number.POSITIVE_INFINITY && isUsable()) settled = now() + SETTLE_MS;
    }
  }

  return {
    ...breaker,
    load: createLoad(),
    failed(url) {
      breaker.failed(url);
      snapshot = snapshot.map((member) => (member.url === url ? { ...member, alive: false } : member));
    },
    servesAnother(url) {
      snapshot = snapshot.map((member) => (member.url === url ? { ...UNHEARD, url } : member));
      takenAtMs = Number.NEGATIVE_INFINITY;
    },
    async members(urls, { waitUntil, model }) {
      const isUsable = () => snapshot.some((member) => member.alive && (model ?? member.model) === member.model);
      const inTrouble = !isUsable() || snapshot.some(({ alive }) => !alive);
      const isStale = now() - takenAtMs > (inTrouble ? FRESH_IN_TROUBLE_MS : FRESH_MS);
      // A request for a model that does not exist must not cause a round of questions each time.
      const isDeserted = !snapshot.some(({ alive }) => alive);
      if ((isStale || isDeserted) && !isRefreshing()) waitUntil(refresh(urls));
      if (!isUsable()) await untilUsable(isUsable);
      return snapshot;
    },
  };
}

const UNHEARD = {
  alive: false,
  model: null,
  contextLength: 0,
  maxTokenBytes: 1,
  bundle: null,
  created: null,
  modes: [],
  secondLook: null,
  sampling: PLAIN_SAMPLING,
};

/**
 * The backends to try for a prompt, best first, among those of its model: the living ones in the
 * order of affinity.ts, then those that were last seen dead.
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
  }: {
    model: string;
    messages: readonly Message[];
    mode: Mode;
    /** Whether the policy has rules for a second look. */
    looks: boolean;
    load: Pick<Load, 'of'>;
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
  const alive = able.filter((member) => member.alive);
  const dead = able.filter((member) => !member.alive);
  return [alive, dead].flatMap((members) => orderByAffinity(members, { messages, load }));
}

/**
 * Refuses a prompt that fits no backend's context, whatever its tokens turn out to be. The check
 * only looks at the length, so it comes before anything reads the prompt.
 */
export function refuseTooLong(
  members: readonly PoolMember[],
  { model, messages }: { model: string; messages: readonly Message[] },
): void {
  const bytes = utf8Bytes(messages.map(({ content }) => content));
  const fewest = members
    .filter((member) => member.model === model)
    .map(({ contextLength, maxTokenBytes }) => ({ contextLength, tokens: fewestTokens(bytes, maxTokenBytes) }));
  const longest = fewest.toSorted((a, b) => b.contextLength - a.contextLength)[0];
  if (longest === undefined || fewest.some(({ contextLength, tokens }) => tokens < contextLength)) return;
  throw contextLengthExceeded(longest.tokens, longest.contextLength, { atLeast: true });
}
