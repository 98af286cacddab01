/**
 * A tenant's account as the rest of the Worker sees it: what a request may spend is reserved before
 * any work, and what it has spent is settled after. This file uses no platform type, so code that
 * only calls the account also type-checks under Node.
 */

/**
 * What a tenant may spend. null: no limit. The caller hands them in with each request, because its
 * policy decides them.
 */
export type Limits = {
  requests_per_minute: number | null;
  tokens_per_minute: number | null;
  /** Answers under way at once, whether they are streamed or not. */
  concurrent_streams: number | null;
  /** A day and a month are those of UTC. */
  tokens_per_day: number | null;
  tokens_per_month: number | null;
  /** How often one prompt may be sent in a minute. */
  tries_per_prompt_per_minute: number | null;
};
export type LimitName = keyof Limits;

export type Caps = Pick<Limits, 'tokens_per_day' | 'tokens_per_month'>;

export const NO_LIMITS: Limits = {
  requests_per_minute: null,
  tokens_per_minute: null,
  concurrent_streams: null,
  tokens_per_day: null,
  tokens_per_month: null,
  tries_per_prompt_per_minute: null,
};

/** Who spends. Ids, never a key or a text. */
export type Spender = {
  tenant: string;
  /** The id of the key. */
  key: string;
  model: string;
};

export type Ask = {
  /** The id of the request. Asking again with the same id changes nothing. */
  id: string;
  spender: Spender;
  /** The most tokens that the request can cost: prompt and answer together. */
  tokens: number;
  /** How many answers it is for, all at once; 1 if left out. */
  answers?: number;
  limits: Limits;
  /**
   * What the whole tenant may spend, which alerts are about. A key may have less under a policy of
   * its own, and then `limits` are lower.
   */
  caps: Caps;
  /** The same without the tenant's own policy, which it may change itself. It only tightens. */
  operatorCaps: Caps;
  /** SHA-256 of the prompt, in hex. The account keeps only a salted digest of it, for a minute. */
  prompt: string;
  /** null if the client sent no `Idempotency-Key`. Both are SHA-256 in hex. */
  idempotency: { key: string; body: string } | null;
};

/** A limit, how much of it is left, and when all of it will be there again if nobody asks. */
export type Allowance = { limit: number; remaining: number; resetMs: number };

/** What OpenAI's `x-ratelimit-*` headers say. null where there is no such limit. */
export type Allowances = { requests: Allowance | null; tokens: Allowance | null };

export type Denial = {
  /** The limit that is in the way for longest; what no wait helps against comes first. */
  limit: LimitName;
  most: number;
  /** How much of the limit is in use. */
  used: number;
  /**
   * After this long the same request fits, if no other comes before it. A shorter wait helps only
   * if another request turns out to cost less than was reserved for it. null: no clock tells.
   * Either an answer has to end first, or the request is larger than the limit.
   */
  retryAfterMs: number | null;
  /** The request alone is larger than the limit, so no wait helps. */
  tooLarge: boolean;
};

/** Errors lose their class on the way out of a Durable Object, so each way to fail is a result. */
export type Verdict =
  | { outcome: 'granted'; leaseMs: number; allowances: Allowances }
  | { outcome: 'denied'; denial: Denial; allowances: Allowances }
  /** The `Idempotency-Key` came with another body before. */
  | { outcome: 'key-reused' }
  /** The first request with this `Idempotency-Key` is still under way. */
  | { outcome: 'key-in-use' };

export type Growth =
  | { outcome: 'granted' }
  /** The limit that leaves least. */
  | { outcome: 'denied'; limit: LimitName; most: number; used: number }
  /** The lease has run out, so the account has closed its books on the request. */
  | { outcome: 'lapsed' };

/** What a request has cost in the end, in tokens. */
type Spent = { prompt: number; completion: number };

export type Settlement = {
  id: string;
  spender: Spender;
  spent: Spent;
  /** Whether nothing was reserved because the tenant has no limits. */
  unlimited: boolean;
};

/** Tokens of a day or a month. */
type WindowStatement = {
  /** '2026-11-29' or '2026-11' */
  window: string;
  /** What counts against the limits: settled, and reserved by what is under way. */
  charged: number;
  settled: number;
};

/** What an account says of itself. */
export type AccountStatement = {
  day: WindowStatement;
  month: WindowStatement;
  /** At which shares of a limit an alert is sent; null: nobody is told. */
  shares: readonly number[] | null;
  /** Of this month and its days, latest first. */
  alerts: {
    window: string;
    share: number;
    cap: number;
    setBy: 'operator' | 'tenant';
    settled: number;
    /** Unix milliseconds. */
    at: number;
    /** Whether it is still to be sent. */
    isWaiting: boolean;
    /** How often it was sent in vain. */
    attempts: number;
  }[];
};

export interface TenantAccountContract {
  /**
   * Reserves the most that a request can cost, or says which limit is in the way. It does not wait
   * for the disk: confirm the reservation before anybody gets a token.
   */
  reserve(ask: Ask): Promise<Verdict>;
  /**
   * Returns once the reservation is on disk. false: the account has crashed meanwhile and knows
   * nothing of it.
   */
  confirm(id: string): Promise<boolean>;
  /**
   * Makes a reservation larger, for a prompt that has more tokens than the edge thought possible.
   * Never makes it smaller.
   */
  grow(id: string, tokens: number, limits: Limits): Promise<Growth>;
  /** Renews the leases of reservations whose work is still under way. */
  renew(ids: readonly string[]): Promise<void>;
  /**
   * Puts what was spent in the place of what was reserved, exactly, also if the lease has run out
   * meanwhile. A second settlement changes nothing. Without a reservation, it just records what was
   * spent.
   */
  settle(settlement: Settlement): Promise<void>;
  statement(): Promise<AccountStatement>;
  /**
   * Erases all that the account holds, and the tenant's usage. From then on it takes nothing: a
   * request that was under way is not booked any more. Erasing twice changes nothing.
   */
  erase(tenant: string): Promise<void>;
  /**
   * Makes it an account again, for a tenant that comes back out of a backup. Changes nothing if it
   * is one.
   */
  revive(tenant: string): Promise<void>;
}

export type TenantAccountBinding = { TENANT_ACCOUNT?: { getByName(name: string): TenantAccountContract } };

/** The account of one tenant; null if the deployment has no accounts. */
export function tenantAccount(
  { TENANT_ACCOUNT: namespace }: TenantAccountBinding,
  tenant: string,
): TenantAccountContract | null {
  if (namespace === undefined) return null;
  // Once its object has crashed, a stub fails for ever. So each call takes a new one.
  const account = () => namespace.getByName(tenant);
  return {
    reserve: (ask) => account().reserve(ask),
    confirm: (id) => account().confirm(id),
    grow: (id, tokens, limits) => account().grow(id, tokens, limits),
    renew: (ids) => account().renew(ids),
    settle: (settlement) => account().settle(settlement),
    statement: () => account().statement(),
    erase: (id) => account().erase(id),
    revive: (id) => account().revive(id),
  };
}
