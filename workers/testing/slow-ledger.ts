/**
 * The ledger once more, slow and obvious: a list of requests, and every sum is counted anew. It is
 * the oracle of the ledger's property tests.
 */

import { KEEP_MS, LEASE_MS } from '../account/ledger.ts';
import type { LedgerAsk } from '../account/ledger-contract.ts';
import { FREE_REPEATS } from '../account/repeats.ts';
import type { Limits } from '../objects/tenant-account-contract.ts';

const MINUTE_MS = 60_000;

type Request = LedgerAsk & {
  at: number;
  day: string;
  expiresAt: number;
  state: 'open' | 'lapsed' | 'settled';
  charged: number;
  credit: number;
};
type KeyUse = { body: string; request: string; paid: number; repeats: number; at: number };

const dayOf = (time: number) => new Date(time).toISOString().slice(0, 10);
const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);

export class SlowLedger {
  readonly requests: Request[] = [];
  readonly keys = new Map<string, KeyUse>();
  #latest = Number.NEGATIVE_INFINITY;

  moveTo(time: number): void {
    if (time < this.#latest) {
      for (const request of this.requests) {
        request.at = Math.min(request.at, time);
        if (request.state === 'open') request.expiresAt = Math.min(request.expiresAt, time + LEASE_MS);
      }
    }
    this.#latest = time;
    for (const request of this.requests) {
      if (request.state === 'open' && request.expiresAt <= time) request.state = 'lapsed';
    }
  }

  find(id: string): Request | undefined {
    return this.requests.find((request) => request.id === id);
  }

  charged(window: string): number {
    return sum(this.requests.filter(({ day }) => day.startsWith(window)).map(({ charged }) => charged));
  }

  settled(window: string): number {
    const over = this.requests.filter(({ day, state }) => day.startsWith(window) && state !== 'open');
    return sum(over.map(({ charged }) => charged));
  }

  minute(time: number): Request[] {
    return this.requests.filter(({ at }) => time - at < MINUTE_MS);
  }

  /** What is in use of each limit at a time, if nothing happens until then. */
  used(time: number, prompt: string | null): Record<keyof Limits, number> {
    const minute = this.minute(time);
    return {
      requests_per_minute: minute.length,
      tokens_per_minute: sum(minute.map(({ charged }) => charged)),
      concurrent_streams: this.requests.filter(({ state }) => state === 'open').length,
      tokens_per_day: this.charged(dayOf(time)),
      tokens_per_month: this.charged(dayOf(time).slice(0, 7)),
      tries_per_prompt_per_minute: minute.filter((request) => prompt !== null && request.prompt === prompt).length,
    };
  }

  /** The limits that would be broken at a time. */
  broken(time: number, { limits, prompt }: LedgerAsk, counted: number): (keyof Limits)[] {
    const used = this.used(time, prompt);
    const names = Object.keys(limits) as (keyof Limits)[];
    return names.filter((name) => {
      const most = limits[name];
      if (most === null || (name === 'tries_per_prompt_per_minute' && prompt === null)) return false;
      const more = name.startsWith('tokens_') ? counted : 1;
      return more > 0 && used[name] + more > most;
    });
  }

  credit(ask: LedgerAsk, time: number): number {
    const use = ask.idempotency === null ? undefined : this.keys.get(ask.idempotency.key);
    return use === undefined || time - use.at >= KEEP_MS || use.repeats + 1 > FREE_REPEATS ? 0 : use.paid;
  }

  /** Whether it is granted, and if not, how long to wait; null if no wait helps. */
  reserve(ask: LedgerAsk, time: number): 'granted' | 'key-reused' | 'key-in-use' | { waitMs: number | null } {
    this.moveTo(time);
    if (this.find(ask.id) !== undefined) return 'granted';
    const { idempotency } = ask;
    const known = idempotency === null ? undefined : this.keys.get(idempotency.key);
    const use = known !== undefined && time - known.at < KEEP_MS ? known : undefined;
    if (use !== undefined && use.body !== idempotency?.body) return 'key-reused';
    if (use !== undefined && this.find(use.request)?.state === 'open') return 'key-in-use';
    const credit = this.credit(ask, time);
    const counted = Math.max(0, ask.tokens - credit);
    if (this.broken(time, ask, counted).length > 0) return { waitMs: this.#waitMs(ask, counted, time) };
    this.requests.push({
      ...ask,
      at: time,
      day: dayOf(time),
      expiresAt: time + LEASE_MS,
      state: 'open',
      charged: counted,
      credit,
    });
    if (idempotency !== null) {
      if (use !== undefined) Object.assign(use, { request: ask.id, repeats: use.repeats + 1 });
      else this.keys.set(idempotency.key, { ...idempotency, request: ask.id, paid: 0, repeats: 0, at: time });
    }
    return 'granted';
  }

  /** Tries every moment at which anything changes by itself. */
  #waitMs(ask: LedgerAsk, counted: number, time: number): number | null {
    if (this.broken(time, ask, counted).includes('concurrent_streams')) return null;
    const midnight = new Date(time);
    const next = [1, 31].map((days) =>
      Date.UTC(
        midnight.getUTCFullYear(),
        midnight.getUTCMonth() + (days === 1 ? 0 : 1),
        days === 1 ? midnight.getUTCDate() + 1 : 1,
      ),
    );
    const moments = [...this.minute(time).map(({ at }) => at + MINUTE_MS), ...next].sort((a, b) => a - b);
    const fits = moments.find((moment) => this.broken(moment, ask, counted).length === 0);
    return fits === undefined ? null : fits - time;
  }

  #paidBefore(request: Request): number {
    const use = request.idempotency === null ? undefined : this.keys.get(request.idempotency.key);
    if (use === undefined) return request.credit;
    return Math.max(request.credit, use.repeats > FREE_REPEATS ? 0 : use.paid);
  }

  renew(id: string, time: number): void {
    this.moveTo(time);
    const request = this.find(id);
    if (request === undefined || request.state === 'settled') return;
    request.state = 'open';
    request.expiresAt = time + LEASE_MS;
  }

  grow(id: string, tokens: number, limits: Limits, time: number): 'granted' | 'denied' | 'lapsed' {
    this.moveTo(time);
    const request = this.find(id);
    if (request === undefined || request.state === 'settled') return 'granted';
    if (request.state === 'lapsed') return 'lapsed';
    const more = tokens - this.#paidBefore(request) - request.charged;
    if (more <= 0) return 'granted';
    const fits =
      this.used(time, null).tokens_per_minute + more <= (limits.tokens_per_minute ?? Number.POSITIVE_INFINITY) &&
      this.charged(request.day) + more <= (limits.tokens_per_day ?? Number.POSITIVE_INFINITY) &&
      this.charged(request.day.slice(0, 7)) + more <= (limits.tokens_per_month ?? Number.POSITIVE_INFINITY);
    if (fits) request.charged += more;
    return fits ? 'granted' : 'denied';
  }

  settle(id: string, total: number, time: number): void {
    this.moveTo(time);
    const request = this.find(id);
    if (request === undefined || request.state === 'settled') return;
    request.charged = Math.max(0, total - this.#paidBefore(request));
    request.state = 'settled';
    const use = request.idempotency === null ? undefined : this.keys.get(request.idempotency.key);
    if (use !== undefined) use.paid = Math.max(use.paid, total);
  }
}
