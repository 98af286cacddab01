/**
 * The meter that every route runs under which costs tokens. It reserves the most that the request
 * can cost before any work, follows the answer, and settles what it has cost in the end: whole, cut
 * off, refused or never begun.
 *
 * If the account cannot be reached, nothing is answered: a budget that holds only in fair weather
 * can be evaded.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import {
  type Growth,
  type Limits,
  NO_LIMITS,
  type Spender,
  type TenantAccountContract,
  tenantAccount,
  type Verdict,
} from '../objects/tenant-account-contract.ts';
import type { AppContext, BodyEnv, CallerEnv, Middleware } from '../request/context.ts';
import { logError } from '../request/log.ts';
import { onAbort } from '../request/on-abort.ts';
import { within } from '../request/within.ts';
import type { BegunAnswer } from './answer-extension.ts';
import { usageOf } from './answer-usage.ts';
import type { Cost } from './limits-cost.ts';
import {
  answerTooCostly,
  limitExceeded,
  promptTooCostly,
  rateLimitHeaders,
  retryHeaders,
  severalTries,
} from './limits-errors.ts';
import { limitsOfPolicy } from './limits-of-policy.ts';
import type { AnswerEnd, AnswerEvents } from './read-answer.ts';
import type { Watch } from './watch-traffic.ts';

/** How long the account may take to answer, each time that it is asked. */
const ACCOUNT_TIMEOUT_MS = 2_000;
const RESERVE_TRIES = 2;
/** A settlement that never arrives leaves too much charged, so it is worth some patience. */
const SETTLE_WAITS_MS = [100, 1_000, 5_000, 15_000];
const MAX_KEY_CHARS = 255;
/** By how much a reservation grows under an answer that is longer than was thought possible. */
const MORE_TOKENS = 256;

type Meter = {
  /**
   * The seed of a request that names none, if it has an `Idempotency-Key`: a repeat draws the same
   * answer. Else null.
   */
  readonly seed: number | null;
  /**
   * Call this first, and wait for it before any backend is asked. Throws if a limit is in the way.
   */
  reserve(cost: Cost): Promise<void>;
  /**
   * Call this once a backend has counted the prompt, and before the client gets a token; for each
   * prompt, if there are several.
   */
  promptCounted(tokens: number): Promise<void>;
  /**
   * Counts what the answer costs, to its end; of several prompts, call it for each. `signal` says
   * that the client has left. An answer that was made for another request is free: that one pays
   * for it. `watch` sees what is counted, where somebody may watch.
   */
  follow(
    begun: Promise<BegunAnswer>,
    signal: AbortSignal,
    options?: { isFree?: boolean; watch?: Watch | undefined },
  ): Promise<BegunAnswer>;
};

/** On routes behind `meterAfter`. Only those behind `watchTraffic` have a watch. */
export type MeterEnv = CallerEnv & BodyEnv & { Variables: { meter: Meter; watch?: Watch } };

/**
 * Finds out who asks and reads the body, and then runs the route under a meter. They are one
 * middleware, because Hono's types cannot tell the order of two.
 */
export function meterAfter(admit: Middleware<CallerEnv & BodyEnv>): Middleware<MeterEnv> {
  // The cast: to Hono's types, a context that also has room for a meter is none for `admit`.
  const first = admit as unknown as Middleware<MeterEnv>;
  return function meterAfter(c, next) {
    return first(c, async () => {
      const { meter, finish } = await startMeter(
        c,
        limitsOfPolicy({ limits: c.var.caller.limits ?? c.var.caller.policy.limits }),
      );
      c.set('meter', meter);
      await next();
      finish();
    });
  };
}

/** Without `set`, a context that has room for more is one of these, too. */
type AdmittedContext = Pick<AppContext<CallerEnv & BodyEnv>, 'env' | 'var' | 'req' | 'res' | 'executionCtx'>;

async function startMeter(c: AdmittedContext, limits: Limits) {
  const { requestId, caller } = c.var;
  const account = tenantAccount(c.env, caller.tenant);
  const idempotency = await readIdempotency(c);
  const headers: Record<string, string> = {};
  const spent = { prompt: 0, completion: 0 };
  /** How many tokens are reserved. The answer may not have more. */
  let room = Number.POSITIVE_INFINITY;
  let state: 'idle' | 'reserved' | 'recording' | 'settled' = 'idle';
  let cost: Cost | null = null;
  let isFollowed = false;
  /** How many answers are under way. */
  let followed = 0;
  let confirmed: Promise<boolean> | null = null;
  let renewing: ReturnType<typeof setInterval> | null = null;
  const isSettled = Promise.withResolvers<void>();

  const isOver = () => state === 'settled';
  const spender = (): Spender => ({ tenant: caller.tenant, key: caller.key, model: cost?.model ?? 'unknown' });

  async function reserve(asked: Cost): Promise<void> {
    cost = asked;
    // The account counts requests. Several answers at once would be tries that nobody counts.
    if (asked.tries > 1 && limits.tries_per_prompt_per_minute !== null) throw severalTries(asked);
    const isUnlimited = Object.keys(NO_LIMITS).every((name) => limits[name as keyof Limits] === null);
    if (isUnlimited && idempotency === null && !caller.counted) {
      // Nothing can be in the way, for this request or because of it. So nobody waits for the
      // account.
      if (account === null) return;
      state = 'recording';
      c.executionCtx.waitUntil(isSettled.promise);
      return;
    }
    if (account === null) throw unreachable('the deployment has no TENANT_ACCOUNT');
    state = 'reserved';
    c.executionCtx.waitUntil(isSettled.promise);
    const verdict = await askAccount(account, asked);
    if (verdict.outcome !== 'granted') {
      state = 'settled';
      isSettled.resolve();
      throw refusalOf(verdict, asked);
    }
    room = asked.total;
    Object.assign(headers, rateLimitHeaders(verdict.allowances));
    // Writing to disk takes longer than all the rest. Meanwhile a backend can be asked.
    confirmed = timely(account.confirm(requestId));
    confirmed.catch(() => undefined);
    // The route may have failed meanwhile.
    if (!isOver()) renewing = setInterval(renew, verdict.leaseMs / 3);
  }

  async function askAccount(account: TenantAccountContract, { total, digest, tries }: Cost): Promise<Verdict> {
    const { caps, operatorCaps } = caller;
    const id = requestId;
    const ask = {
      id,
      spender: spender(),
      tokens: total,
      answers: tries,
      limits,
      caps,
      operatorCaps,
      prompt: digest,
      idempotency,
    };
    for (let tries = 1; ; tries++) {
      try {
        // Asking twice with the same id reserves once.
        return await timely(account.reserve(ask));
      } catch (cause) {
        if (tries === RESERVE_TRIES) throw unreachable(cause);
      }
    }
  }

  function refusalOf(verdict: Exclude<Verdict, { outcome: 'granted' }>, { total }: Cost): PlimsollError {
    if (verdict.outcome === 'key-reused') {
      return new PlimsollError(
        'idempotency_key_reused',
        "This 'Idempotency-Key' came with another body before. Send each request with a key of its own.",
        { param: 'Idempotency-Key' },
      );
    }
    if (verdict.outcome === 'key-in-use') {
      return new PlimsollError(
        'idempotency_key_in_use',
        "The first request with this 'Idempotency-Key' is still being answered. Try again when it has ended.",
        { param: 'Idempotency-Key' },
      );
    }
    Object.assign(headers, rateLimitHeaders(verdict.allowances), retryHeaders(verdict.denial));
    return limitExceeded(verdict.denial, { requested: total });
  }

  function renew(): void {
    // If one renewal is lost, the next comes before the lease is over.
    account?.renew([requestId]).catch((cause: unknown) => {
      logError({ event: 'lease-not-renewed', request: requestId, cause });
    });
  }

  async function untilConfirmed(): Promise<void> {
    if (confirmed === null) return;
    const isThere = await confirmed.catch((cause: unknown) => {
      throw unreachable(cause);
    });
    if (!isThere) throw unreachable('the account has crashed and knows nothing of the reservation');
  }

  async function promptCounted(tokens: number): Promise<void> {
    spent.prompt += tokens;
    const { prompt } = spent;
    await untilConfirmed();
    if (cost === null || prompt <= cost.prompt) return;
    // A prompt that is longer than the context: the context has grown since we heard of it.
    const most = prompt > cost.context ? Number.POSITIVE_INFINITY : cost.context;
    const needed = Math.min(most, prompt + cost.answer);
    const denial = await growTo(needed);
    if (denial === null) return;
    // No more than was reserved may be charged, though the backend has read all of the prompt.
    spent.prompt = Math.min(spent.prompt, room);
    throw promptTooCostly(denial.limit, { ...denial, more: needed - room, tokens: prompt });
  }

  /** Makes the reservation larger. Returns the limit that is in the way, or null. */
  async function growTo(total: number): Promise<Extract<Growth, { outcome: 'denied' }> | null> {
    if (state !== 'reserved' || account === null || total <= room) return null;
    const growth = await timely(account.grow(requestId, total, limits)).catch((cause: unknown) => {
      throw unreachable(cause);
    });
    if (growth.outcome === 'lapsed') throw unreachable('the lease has run out');
    if (growth.outcome === 'denied') return growth;
    room = total;
    return null;
  }

  /**
   * Makes room for a longer answer. A backend stops at its context, and the reservation covers the
   * context that we heard of. So this is for a context that has grown since.
   */
  async function demandRoom(total: number): Promise<void> {
    if (total <= room) return;
    const denial = await growTo(total + MORE_TOKENS);
    if (denial === null) return;
    // Other requests may take of what is left, and then another limit may be the one.
    const left = room + denial.most - denial.used;
    const inTheWay = left < total ? denial : await growTo(left);
    if (inTheWay !== null) throw answerTooCostly(inTheWay.limit, inTheWay);
  }

  function follow(
    begun: Promise<BegunAnswer>,
    signal: AbortSignal,
    { isFree = false, watch }: { isFree?: boolean; watch?: Watch | undefined } = {},
  ): Promise<BegunAnswer> {
    isFollowed = true;
    followed++;
    watch?.follows();
    onAbort(signal, () => {
      settle();
      watch?.left();
    });
    return begun.then(
      (answer) => {
        watch?.begun(answer);
        return { ...answer, events: count(answer.events, { isFree, watch }) };
      },
      (thrown: unknown) => {
        watch?.broke(thrown);
        over(watch);
        throw thrown;
      },
    );
  }

  function over(watch: Watch | undefined): void {
    followed--;
    if (followed === 0) settle();
    watch?.over();
  }

  async function* count(
    events: AnswerEvents,
    { isFree, watch }: { isFree: boolean; watch: Watch | undefined },
  ): AnswerEvents {
    let own = 0;
    try {
      let next = await events.next();
      for (; !next.done; next = await events.next()) {
        watch?.tokens(next.value.tokens);
        if (isFree) {
          yield next.value;
          continue;
        }
        const { length } = next.value.tokens;
        await demandRoom(spent.prompt + spent.completion + length).catch(async (thrown: unknown) => {
          // The backend need not go on. The cast: nobody reads this end.
          await events.return(undefined as unknown as AnswerEnd);
          throw thrown;
        });
        spent.completion += length;
        own += length;
        yield next.value;
      }
      // The receipts are what the client can check, so they are what the client pays. They name the
      // prompt's tokens as they were counted.
      if (!isFree) spent.completion += usageOf(next.value).completion_tokens - own;
      watch?.ended(next.value);
      return next.value;
    } catch (thrown) {
      watch?.broke(thrown);
      throw thrown;
    } finally {
      over(watch);
    }
  }

  /** The first call counts. */
  function settle(): void {
    if (state !== 'reserved' && state !== 'recording') return;
    const unlimited = state === 'recording';
    state = 'settled';
    if (renewing !== null) clearInterval(renewing);
    void settleAccount(unlimited).then(isSettled.resolve);
  }

  async function settleAccount(unlimited: boolean): Promise<void> {
    const settlement = { id: requestId, spender: spender(), spent: { ...spent }, unlimited };
    for (let tries = 0; ; tries++) {
      try {
        await account?.settle(settlement);
        return;
      } catch (cause) {
        const wait = SETTLE_WAITS_MS[tries];
        if (wait === undefined) return logError({ event: 'not-settled', request: requestId, ...settlement, cause });
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    }
  }

  const meter: Meter = {
    seed: idempotency && seedOf(idempotency.key),
    reserve(asked) {
      const reserved = reserve(asked);
      // Whoever waits for it sees the error. A route that fails before that has an error of its
      // own.
      reserved.catch(() => undefined);
      return reserved;
    },
    promptCounted,
    follow,
  };
  return {
    meter,
    /** Call this when the route has returned. An answer that is still under way ends later. */
    finish(): void {
      for (const [name, value] of Object.entries(headers)) c.res.headers.set(name, value);
      if (!isFollowed) settle();
    },
  };
}

async function readIdempotency(c: Pick<AdmittedContext, 'req' | 'var'>) {
  const header = c.req.header('idempotency-key');
  if (header === undefined || header === '') return null;
  if (header.length > MAX_KEY_CHARS) {
    throw new PlimsollError('invalid_value', `'Idempotency-Key' has more than ${MAX_KEY_CHARS} characters.`, {
      param: 'Idempotency-Key',
    });
  }
  const { tenant, key } = c.var.caller;
  const body = JSON.stringify([c.req.path, c.var.body]);
  return { key: await sha256Hex(JSON.stringify([tenant, key, header])), body: await sha256Hex(body) };
}

/** 32 bits of the digest. A client may compute it; draws depend on a secret besides. */
function seedOf(digest: string): number {
  return Number.parseInt(digest.slice(0, 8), 16);
}

function timely<T>(promise: Promise<T>): Promise<T> {
  return within(ACCOUNT_TIMEOUT_MS, promise, () => {
    throw new Error(`nothing for ${ACCOUNT_TIMEOUT_MS} ms`);
  });
}

function unreachable(cause: unknown): PlimsollError {
  return new PlimsollError(
    'backend_unavailable',
    "The tenant's account cannot be reached, and without it no limit can be kept. Please try again.",
    { cause },
  );
}
