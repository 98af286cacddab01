/**
 * Notes what whoever watches the traffic sees of a request: its line, what the edge found, how its
 * tokens were weighed, and how it ended. Nothing of what was said, and nothing that would tell who
 * holds the key. It is told once the request is over, and no answer waits for it.
 */
import type { Usage } from '#shared/api/chat-answer.ts';
import { toPlimsollError } from '#shared/api/errors.ts';
import type { CacheState, CategoryProbability, TokenTrace } from '#shared/api/plimsoll-extension.ts';
import type { Signal } from '#shared/line/categories.ts';
import { type OverRequest, WEIGHT_BARS } from '../objects/live-traffic-contract.ts';
import type { Middleware } from '../request/context.ts';
import type { Caller } from '../request/tenant-directory.ts';
import type { BegunAnswer } from './answer-extension.ts';
import { usageOf } from './answer-usage.ts';
import type { MeterEnv } from './limits.ts';
import { NO_MODEL } from './limits-cost.ts';
import type { AnswerEnd } from './read-answer.ts';
import type { TrafficFeed } from './traffic-feed.ts';

/** How many judgements are told, and from which probability on. */
const MOST_CATEGORIES = 3;
const LEAST_PROBABILITY = 0.05;

export type Watch = {
  /** Of each prompt, once it was read. `model` is as the account books it. */
  decided(about: {
    model: string;
    policy: string;
    categories: readonly CategoryProbability[];
    because: Signal | null;
  }): void;
  /** Of each answer: it may be under way when the route has returned. */
  follows(): void;
  begun(answer: BegunAnswer): void;
  tokens(drawn: readonly TokenTrace[]): void;
  ended(end: AnswerEnd): void;
  broke(thrown: unknown): void;
  over(): void;
  /** The client has left. */
  left(): void;
};

/** Runs the route first, and tells of the request when all of its answers are over. */
export function watchTraffic(feed: TrafficFeed): Middleware<MeterEnv> {
  return async function watchTraffic(c, next) {
    const { env, executionCtx } = c;
    if (env.LIVE_TRAFFIC === undefined) return next();
    const beganAtMs = Date.now();
    const told = Promise.withResolvers<void>();
    // Now: once the client has left, it would be too late.
    executionCtx.waitUntil(told.promise);
    const { requestId, caller } = c.var;
    const { watch, responded } = createWatch((seen) => {
      const request: OverRequest = {
        request: requestId,
        at: new Date(beganAtMs).toISOString(),
        ...{ tenant: caller.tenant, key: caller.key },
        route: `${c.req.method} ${c.req.routePath}`,
        ms: Date.now() - beganAtMs,
        canary: isCanary(seen.policy, caller),
        ...seen,
      };
      void feed.add(request, env).then(told.resolve);
    });
    c.set('watch', watch);
    await next();
    responded(c.res.status, c.error);
  };
}

/** The caller is as it came: which of the two versions decides is chosen by the prompt. */
function isCanary(policy: string | null, { version, canary }: Caller): boolean {
  return canary !== null && policy === canary.version && policy !== version;
}

type Seen = Omit<OverRequest, 'request' | 'at' | 'tenant' | 'key' | 'route' | 'ms' | 'canary'>;

/** @param onOver called once */
function createWatch(onOver: (seen: Seen) => void): {
  watch: Watch;
  /** Call this when the route has returned. */
  responded: (status: number, thrown: unknown) => void;
} {
  let status: number | null = null;
  let code: string | null = null;
  let underWay = 0;
  let isOver = false;
  let hasLeft = false;
  let model: string | null = null;
  let policy: string | null = null;
  let categories: CategoryProbability[] = [];
  let because: Signal | null = null;
  let cache: CacheState | null = null;
  /** Of each prompt. */
  const ends: AnswerEnd[] = [];
  const weights = Array.from({ length: WEIGHT_BARS }, () => 0);
  let drawn = 0;

  function overIfSo(): void {
    if (isOver || !(hasLeft || (status !== null && underWay === 0))) return;
    isOver = true;
    const receipt = ends[0]?.receipt ?? null;
    const usages = ends.map((end) => usageOf(end));
    const sum = (of: (usage: Usage) => number) =>
      usages.length === 0 ? null : usages.reduce((total, usage) => total + of(usage), 0);
    onOver({
      model,
      outcome: outcomeOf({ hasLeft: hasLeft && ends.length === 0, code, finish: receipt?.finish_reason ?? null }),
      // A response that has not begun when its client leaves has none.
      status: status ?? 499,
      code,
      policy,
      floor: receipt?.line.floor ?? null,
      budget: receipt?.line.budget ?? null,
      spent: receipt?.spent ?? null,
      categories,
      because: because ?? receipt?.second_look?.because ?? null,
      weights: drawn === 0 ? null : weights,
      prompt_tokens: sum((usage) => usage.prompt_tokens),
      completion_tokens: sum((usage) => usage.completion_tokens),
      finish_reason: receipt?.finish_reason ?? null,
      cache,
      backend: receipt?.backend ?? null,
    });
  }

  const watch: Watch = {
    decided(about) {
      // A name that no backend has is the client's own text.
      model = about.model === NO_MODEL ? null : about.model;
      policy = about.policy;
      // Of several prompts, the one that was refused, or the last.
      because ??= about.because;
      categories = about.categories
        .filter(({ probability }) => probability >= LEAST_PROBABILITY)
        .sort((a, b) => b.probability - a.probability)
        .slice(0, MOST_CATEGORIES);
    },
    follows() {
      underWay += 1;
    },
    begun({ extension }) {
      cache = extension.cache.answer;
    },
    tokens(some) {
      drawn += some.length;
      for (const { weight } of some) {
        const bar = Math.min(WEIGHT_BARS - 1, Math.max(0, Math.floor(weight * WEIGHT_BARS)));
        weights[bar] = (weights[bar] ?? 0) + 1;
      }
    },
    ended(whole) {
      ends.push(whole);
    },
    broke(thrown) {
      code ??= toPlimsollError(thrown).code;
    },
    over() {
      underWay -= 1;
      overIfSo();
    },
    left() {
      hasLeft = true;
      overIfSo();
    },
  };
  return {
    watch,
    responded(given, thrown) {
      status = given;
      if (thrown !== undefined && thrown !== null) code ??= toPlimsollError(thrown).code;
      overIfSo();
    },
  };
}

function outcomeOf({
  hasLeft,
  code,
  finish,
}: {
  hasLeft: boolean;
  code: string | null;
  finish: string | null;
}): OverRequest['outcome'] {
  if (code === 'policy_refused' || finish === 'content_filter') return 'refused';
  if (hasLeft) return 'left';
  return code === null ? 'answered' : 'failed';
}
