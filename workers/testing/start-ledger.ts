/** A ledger over a store in memory, with a clock that tests move. */

import { createLedger } from '../account/ledger.ts';
import type { Budget, LedgerAsk, UsageEvent } from '../account/ledger-contract.ts';
import type { Store } from '../account/store.ts';
import { type Limits, NO_LIMITS } from '../objects/tenant-account-contract.ts';
import { createSqliteStore } from './sqlite-store.ts';

export const NOON = Date.UTC(2026, 10, 29, 12);
export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;
export const SPENDER = { key: 'first', model: 'scripted' };

/** `time`: what its clock says at first. `store`: where it keeps what outlives a crash. */
export function startLedger({ time = NOON, store = createSqliteStore() }: { time?: number; store?: Store } = {}) {
  const clock = { time };
  const usage: UsageEvent[] = [];
  const budgets: Budget[] = [];
  const create = () =>
    createLedger({
      store,
      now: () => clock.time,
      keepUsage: (event) => usage.push({ ...event }),
      onBudget: (budget) => budgets.push(budget),
    });
  let ledger = create();
  const window = (name: string) =>
    store
      .exec<{ charged: number; settled: number }>('SELECT charged, settled FROM windows WHERE name = ?', name)
      .toArray()[0] ?? {
      charged: 0,
      settled: 0,
    };
  let asked = 0;
  return {
    clock,
    usage,
    budgets,
    window,
    store,
    get ledger() {
      return ledger;
    },
    /** What a crash leaves is what was written. */
    crash() {
      ledger = create();
    },
    /** Reserves, and writes it down. */
    reserve(
      limits: Partial<Limits>,
      {
        id = `r${asked++}`,
        tokens = 1,
        prompt = null,
        idempotency = null,
        answers,
        caps,
        operatorCaps,
      }: Partial<LedgerAsk> = {},
    ) {
      const all = { ...NO_LIMITS, ...limits };
      const both = { caps: caps ?? all, operatorCaps: operatorCaps ?? caps ?? all };
      const ask = {
        id,
        spender: SPENDER,
        tokens,
        limits: all,
        ...both,
        prompt,
        idempotency,
        ...(answers && { answers }),
      };
      const verdict = ledger.reserve(ask);
      ledger.save();
      return verdict;
    },
    /** Settles, and writes it down. */
    settle(id: string, total: number, { unlimited = false } = {}) {
      ledger.settle({ id, spender: SPENDER, spent: { prompt: total, completion: 0 }, unlimited });
      ledger.save();
    },
  };
}
