/**
 * Which backends there are, whether they answer and what they serve: a snapshot of their `GET /healthz`, held for seconds.
 * Requests do not wait for it while any backend is known to be alive. What a request finds broken is out for all of them at
 * once (breaker.ts), so a snapshot that is wrong costs one request a retry, no more.
 */
import * as z from 'zod';
import { contextLengthExceeded, fewestTokens, utf8Bytes } from '#shared/api/context-length.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { modeUnavailable } from '#shared/api/mode-unavailable.ts';
import { MODES, type Mode } from '#shared/line/line.ts';
import type { Message } from '#shared/protocol/generate.ts';
import { type Breaker, createBreaker } from './breaker.ts';
import { rankByRendezvous } from './rendezvous-hash.ts';

const FRESH_MS = 5_000;
/** While one of them is out. */
const FRESH_IN_TROUBLE_MS = 1_000;
/** For the others, once one of them has said that it is well. */
const SETTLE_MS = 250;
const POLL_MS = 25;
/** How long a backend that failed is left alone, at first. */
const REST_MS = 1_000;
const HEALTH_TIMEOUT_MS = 2_000;

/**
 * The part of a backend's health that the edge acts on; a backend that drains or warms up says another status. Health also says
 * how many requests run and wait there. The edge does not read that: prompts are spread by hash alone.
 */
const Health = z.object({
  status: z.literal('ok'),
  model: z.string(),
  context_length: z.int(),
  /** UTF-8 bytes of its longest token. */
  max_token_bytes: z.int().min(1),
  /** When its bundle was made, in Unix seconds. */
  created: z.int().optional(),
  /** Which weights these are, as receipts name them. */
  bundle: z.string().optional(),
  /** The modes its bundle has the routers for; one of a kind this edge does not know is no use to it. */
  modes: z
    .array(z.string())
    .transform((modes) => MODES.filter((mode) => modes.includes(mode)))
    .default(['logits']),
});

export type PoolMember = {
  url: string;
  alive: boolean;
  /** As last heard; null if it never answered. */
  model: string | null;
  contextLength: number;
  maxTokenBytes: number;
  bundle: string | null;
  /** Unix seconds; null: unknown. */
  created: number | null;
  modes: readonly Mode[];
};

export type BackendPool = Breaker & {
  members(urls: readonly string[], waitUntil: (promise: Promise<unknown>) => void): Promise<PoolMember[]>;
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
  // A time and not a flag: a refresh dies with the request that started it, and would leave a flag standing.
  let refreshingSinceMs = Number.NEGATIVE_INFINITY;
  const isRefreshing = () => now() - refreshingSinceMs < HEALTH_TIMEOUT_MS;

  async function refresh(urls: readonly string[]): Promise<void> {
    refreshingSinceMs = now();
    const before = new Map(snapshot.map((member) => [member.url, member]));
    snapshot = urls.map((url) => before.get(url) ?? { ...UNHEARD, url });
    // Each is in the snapshot as soon as it has answered: none waits for one that hangs.
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
      // A second time, because a connection that was kept may have been closed at the other end.
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
      } = health.data;
      return { url: before.url, alive: true, model, contextLength, maxTokenBytes, bundle, created, modes };
    } catch {
      // Not answering is what this looks for; the pool's snapshot says so, and a request that finds no backend is logged.
      return dead;
    }
  }

  /** Until all have been examined, or one is well and the others have had a moment. */
  async function untilUsable(): Promise<void> {
    let settled = Number.POSITIVE_INFINITY;
    // By looking again and again: a promise of another request cannot be waited for in workerd.
    while (isRefreshing() && now() < settled) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      if (settled === Number.POSITIVE_INFINITY && isUsable()) settled = now() + SETTLE_MS;
    }
  }

  const isUsable = () => snapshot.some(({ alive }) => alive);

  return {
    ...breaker,
    failed(url) {
      breaker.failed(url);
      snapshot = snapshot.map((member) => (member.url === url ? { ...member, alive: false } : member));
    },
    async members(urls, waitUntil) {
      const freshMs = snapshot.every(({ alive }) => alive) ? FRESH_MS : FRESH_IN_TROUBLE_MS;
      const isStale = now() - takenAtMs > freshMs;
      if ((isStale || !isUsable()) && !isRefreshing()) waitUntil(refresh(urls));
      if (!isUsable()) await untilUsable();
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
};

/** The backends to try for a prompt, best first: the living by rendezvous, then the ones last heard dead. */
export function chooseBackends(
  members: readonly PoolMember[],
  { model, messages, mode }: { model: string; messages: readonly Message[]; mode: Mode },
): PoolMember[] {
  if (!members.some(({ alive }) => alive)) {
    throw new PlimsollError('backend_unavailable', 'No backend is available. Please try again.', {
      detail: { members },
    });
  }
  const serving = members.filter((member) => member.model === model);
  if (serving.length === 0) {
    throw new PlimsollError('model_not_found', `The model '${model}' does not exist or you do not have access to it.`, {
      param: 'model',
    });
  }
  const able = serving.filter(({ modes }) => modes.includes(mode));
  if (able.length === 0) throw modeUnavailable(mode);
  const key = affinityKey(messages);
  const ranked = rankByRendezvous(able, { key, nameOf: ({ url }) => url });
  return [...ranked.filter(({ alive }) => alive), ...ranked.filter(({ alive }) => !alive)];
}

/**
 * Refuses a prompt that fits no backend's context, whatever its tokens turn out to be. It costs a look at the length, so it comes
 * before anything is read.
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

/**
 * What stays the same as a conversation goes on: everything up to the user's first turn. So a conversation keeps to one backend.
 * Nothing depends on that yet: it is for a prefix cache, which backends of this version do not have.
 */
function affinityKey(messages: readonly Message[]): string {
  const firstTurn = messages.findIndex(({ role }) => role === 'user');
  return JSON.stringify(messages.slice(0, firstTurn + 1 || 1));
}
