/** What the ledger is asked, and what it tells: costs for the books, and states of budgets. */
import type { Caps, Growth, Limits, Settlement, Spender, Verdict } from '../objects/tenant-account-contract.ts';

/** An `Ask` whose digests are salted already. `prompt` is null unless its tries are limited. */
export type LedgerAsk = {
  id: string;
  spender: Omit<Spender, 'tenant'>;
  tokens: number;
  /** How many answers it is for; 1 if left out. */
  answers?: number;
  limits: Limits;
  caps: Caps;
  operatorCaps: Caps;
  prompt: string | null;
  idempotency: { key: string; body: string } | null;
};

/** What a request has cost, for the books. A later revision replaces an earlier one. */
export type UsageEvent = {
  request: string;
  key: string;
  model: string;
  day: string;
  prompt_tokens: number;
  completion_tokens: number;
  /**
   * What counted against the limits. It is more than the tokens if nobody settled the request, and
   * less if it repeated another one under the same `Idempotency-Key`.
   */
  charged_tokens: number;
  revision: number;
};

/** How much of a day's or a month's tokens is spent. */
export type Budget = {
  /** '2026-11-29' or '2026-11' */
  window: string;
  /** Of the whole tenant. */
  cap: number;
  /** 'operator': by the operator's policy or the plan. 'tenant': by its own policy, and lower. */
  setBy: 'operator' | 'tenant';
  settled: number;
  /** Whether a request was just turned away because of it. */
  full: boolean;
};

export type Ledger = {
  /**
   * Decides in memory, so that the answer need not wait for the disk. What is granted is written by
   * the next call of anything but `reserve` or `settle`; `save` does nothing but that.
   */
  reserve(ask: LedgerAsk): Verdict;
  save(): void;
  /** Whether the request is in the books, and on disk once this call's writes are. */
  confirm(id: string): boolean;
  grow(id: string, tokens: number, limits: Limits): Growth;
  renew(ids: readonly string[]): void;
  /** It is on disk once the next call of anything but `reserve` or `settle` has written. */
  settle(settlement: Omit<Settlement, 'spender'> & { spender: Omit<Spender, 'tenant'> }): void;
  /**
   * Lets leases run out and drops rows that nobody will ask for. Returns when to call it again, in
   * ms from now.
   */
  tidy(): number | null;
};
