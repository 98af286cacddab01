/**
 * A tenant's ledger: what is reserved, what is settled, and which limit is in the way.
 *
 * A reservation is charged in full at once. A settlement puts what was spent in its place. So when
 * a process dies between the two, nothing has to happen: the whole reservation stays charged, which
 * is the most that the request can have cost, and a budget is never overspent. If the settlement
 * comes after all, it puts the charge right. A lease says how long an answer counts as being under
 * way.
 *
 * A reservation is decided in memory and written a moment later, because a request would wait for
 * the disk longer than for all the rest. Whoever reserves confirms it before anybody gets a token,
 * and only then does it have to be on disk. If the object crashes between the two, the confirmation
 * fails. A settlement is decided in memory, too, and written with whatever comes next, all in one
 * transaction: what it gave back can be reserved at once, but nothing that was reserved out of it
 * gets to the disk before it. Whoever settles is told when it is there, and repeats it if it is
 * lost.
 *
 * Everything here is synchronous, so no two requests are ever inside at once. What the clock and
 * the limits need is held in memory and read back from the rows when the object starts.
 */
import {
  type Growth,
  type Limits,
  NO_LIMITS,
  type Settlement,
  type Verdict,
} from '../objects/tenant-account-contract.ts';
import { type Charge, insertCharge, type Spent, updateSettled, usageOf } from './charges.ts';
import { createDenials, isFull } from './denials.ts';
import type { Budget, Ledger, LedgerAsk, UsageEvent } from './ledger-contract.ts';
import { createMinute, MINUTE_MS } from './minute.ts';
import { createRepeats } from './repeats.ts';
import type { Store } from './store.ts';
import { type Open, UnderWay } from './under-way.ts';
import { createWindows, dayOf, windowsOf } from './windows.ts';

/** A worker at a stream renews its lease every third of this. */
export const LEASE_MS = 60_000;
/**
 * How long after its settlement a row is kept once nothing but a repeated call can ask for it
 * again. Callers repeat a call within seconds.
 */
const KEEP_SETTLED_MS = 10 * 60_000;
/** How long a late settlement is waited for. */
export const KEEP_MS = 24 * 60 * 60_000;

export function createLedger({
  store,
  now = Date.now,
  keepUsage,
  onBudget,
}: {
  store: Store;
  now?: () => number;
  /** Gets every request's cost. It is called inside the transaction that books it. */
  keepUsage?: (event: UsageEvent) => void;
  /**
   * Gets the state of a day or a month whenever more of it is settled, or a request found it full.
   */
  onBudget?: (budget: Budget) => void;
}): Ledger {
  const minute = createMinute();
  const windows = createWindows(store);
  const repeats = createRepeats(store);
  const open = new UnderWay();
  const denials = createDenials({ minute, windows, underWay: () => open.answers });
  // Granted, and not written yet.
  let unsaved: Charge[] = [];
  // Settled, and not written yet.
  const settling = new Map<string, { charge: Charge; spent: Spent }>();
  // No lease runs out before this.
  let firstExpiry = Number.POSITIVE_INFINITY;
  let latest = Number.NEGATIVE_INFINITY;
  readBack();

  function readBack(): void {
    const time = now();
    bringBack(time);
    latest = time;
    const rows = store
      .exec<Charge>("SELECT * FROM charges WHERE state = 'open' OR at > ? ORDER BY at", time - MINUTE_MS)
      .toArray();
    for (const charge of rows) {
      const entry = { at: charge.at, tokens: charge.tokens, prompt: charge.prompt };
      if (time - entry.at < MINUTE_MS) minute.add(entry);
      if (charge.state === 'open') hold({ charge, entry });
    }
    minute.moveTo(time);
  }

  function hold(reservation: Open): void {
    open.set(reservation.charge.id, reservation);
    firstExpiry = Math.min(firstExpiry, reservation.charge.expires_at);
  }

  /**
   * The clock was set back. What seems to lie in the future counts as of now, and no lease is
   * longer than a new one. Else a clock that jumped ahead for a moment would lock its tenant out
   * for as long as it had jumped.
   */
  function bringBack(time: number): void {
    save();
    store.transaction(() => {
      store.exec('UPDATE charges SET at = ? WHERE at > ?', time, time);
      const most = time + LEASE_MS;
      store.exec("UPDATE charges SET expires_at = ? WHERE state = 'open' AND expires_at > ?", most, most);
      store.exec("UPDATE charges SET expires_at = ? WHERE state = 'settled' AND expires_at > ?", time, time);
    });
    for (const { charge } of open.values()) charge.expires_at = Math.min(charge.expires_at, time + LEASE_MS);
    firstExpiry = Math.min(firstExpiry, time + LEASE_MS);
  }

  /** Brings everything that depends on the clock up to now. */
  function moveTo(time: number): void {
    if (time < latest) bringBack(time);
    latest = time;
    minute.moveTo(time);
    if (firstExpiry > time) return;
    save();
    firstExpiry = Number.POSITIVE_INFINITY;
    for (const reservation of open.values()) {
      const { charge } = reservation;
      if (charge.expires_at <= time) store.transaction(() => lapse(charge));
      else firstExpiry = Math.min(firstExpiry, charge.expires_at);
    }
  }

  function save(): void {
    if (unsaved.length === 0 && settling.size === 0) return;
    store.transaction(() => {
      for (const charge of unsaved) insertCharge(store, charge);
      for (const { charge, spent } of settling.values()) {
        updateSettled(store, charge);
        keepUsage?.(usageOf(charge, spent));
      }
      windows.save();
      const days = new Set(Array.from(settling.values(), ({ charge }) => charge.day));
      for (const day of days) reportDay(day);
    });
    unsaved = [];
    settling.clear();
  }

  function lapse(charge: Charge): void {
    store.exec("UPDATE charges SET state = 'lapsed' WHERE id = ?", charge.id);
    charge.state = 'lapsed';
    open.delete(charge.id);
    settleWindows(charge.day, { charged: 0, settled: charge.tokens });
    book(charge, { prompt: 0, completion: 0 });
  }

  /** Its lease has run out, and yet somebody is still at work. */
  function reopen(id: string): Charge | undefined {
    const charge = find(id);
    if (charge?.state !== 'lapsed') return undefined;
    store.transaction(() => {
      store.exec("UPDATE charges SET state = 'open' WHERE id = ?", id);
      charge.state = 'open';
      settleWindows(charge.day, { charged: 0, settled: -charge.tokens });
    });
    // A lease is no shorter than a minute, so the request has left the minute.
    hold({ charge, entry: { at: charge.at, tokens: charge.tokens, prompt: charge.prompt } });
    return charge;
  }

  function book(charge: Charge, spent: Spent): void {
    charge.revision += 1;
    store.exec('UPDATE charges SET revision = ? WHERE id = ?', charge.revision, charge.id);
    keepUsage?.(usageOf(charge, spent));
  }

  function settleWindows(day: string, change: { charged: number; settled: number }): void {
    for (const window of windowsOf(day)) windows.add(window, change);
    windows.save();
    reportDay(day);
  }

  function reportDay(day: string): void {
    for (const window of windowsOf(day)) report(window, false);
  }

  function report(window: string, full: boolean): void {
    const { cap, operator_cap, settled } = windows.read(window);
    // The lower one hides nothing of the other, or a tenant could keep the operator from hearing.
    if (operator_cap !== null) {
      onBudget?.({ window, cap: operator_cap, setBy: 'operator', settled, full: full && cap === operator_cap });
    }
    if (cap !== null && cap !== operator_cap) onBudget?.({ window, cap, setBy: 'tenant', settled, full });
  }

  function find(id: string): Charge | null {
    const held = open.get(id)?.charge ?? settling.get(id)?.charge;
    return held ?? store.exec<Charge>('SELECT * FROM charges WHERE id = ?', id).toArray()[0] ?? null;
  }

  function reserve(ask: LedgerAsk): Verdict {
    const time = now();
    moveTo(time);
    const { id, limits, spender, prompt, idempotency } = ask;
    const granted = (): Verdict => ({ outcome: 'granted', leaseMs: LEASE_MS, allowances: denials.allowances(limits) });
    if (find(id) !== null) return granted();

    const earlier = idempotency && repeats.recall(idempotency.key, time);
    if (earlier !== null && earlier.body !== idempotency?.body) return { outcome: 'key-reused' };
    if (earlier !== null && open.has(earlier.request)) return { outcome: 'key-in-use' };
    const credit = earlier === null ? 0 : repeats.creditOf(earlier, 1);
    const counted = Math.max(0, ask.tokens - credit);

    const day = dayOf(time);
    const [dayWindow, monthWindow] = windowsOf(day);
    const denial = denials.ofRequest(ask, counted, time);
    if (denial !== null) {
      setCaps(ask, day);
      // What is full for one key need not be full for its tenant.
      if (isFull('tokens_per_day', ask, denial)) report(dayWindow, true);
      if (isFull('tokens_per_month', ask, denial)) report(monthWindow, true);
      return { outcome: 'denied', denial, allowances: denials.allowances(limits) };
    }

    const charge: Charge = {
      id,
      at: time,
      expires_at: time + LEASE_MS,
      state: 'open',
      tokens: counted,
      credit,
      day,
      ...spender,
      prompt,
      idempotency: idempotency?.key ?? null,
      revision: 0,
    };
    setCaps(ask, day);
    for (const window of windowsOf(day)) windows.add(window, { charged: counted, settled: 0 });
    unsaved.push(charge);
    if (idempotency !== null) {
      store.transaction(() => {
        save();
        repeats.remember(idempotency, { id, repeats: earlier && earlier.repeats + 1, time });
      });
    }
    const entry = { at: time, tokens: counted, prompt };
    minute.add(entry);
    hold({ charge, entry, answers: ask.answers });
    return granted();
  }

  function setCaps({ caps, operatorCaps }: Pick<LedgerAsk, 'caps' | 'operatorCaps'>, day: string): void {
    const [dayWindow, monthWindow] = windowsOf(day);
    windows.setCaps(dayWindow, { cap: caps.tokens_per_day, operator_cap: operatorCaps.tokens_per_day });
    windows.setCaps(monthWindow, { cap: caps.tokens_per_month, operator_cap: operatorCaps.tokens_per_month });
  }

  function grow(id: string, tokens: number, limits: Limits): Growth {
    const time = now();
    save();
    moveTo(time);
    const charge = find(id);
    if (charge === null || charge.state === 'settled') return { outcome: 'granted' };
    if (charge.state === 'lapsed') return { outcome: 'lapsed' };
    const more = tokens - repeats.paidBefore(charge) - charge.tokens;
    if (more <= 0) return { outcome: 'granted' };
    const denial = denials.ofTokens(limits, more, { time, day: charge.day });
    if (denial !== null) {
      const { limit, most, used } = denial;
      return { outcome: 'denied', limit, most, used };
    }
    store.transaction(() => {
      for (const window of windowsOf(charge.day)) windows.add(window, { charged: more, settled: 0 });
      windows.save();
      setTokens(charge, charge.tokens + more);
    });
    return { outcome: 'granted' };
  }

  function setTokens(charge: Charge, tokens: number): void {
    store.exec('UPDATE charges SET tokens = ? WHERE id = ?', tokens, charge.id);
    charge.tokens = tokens;
    const entry = open.get(charge.id)?.entry;
    if (entry !== undefined) minute.correct(entry, tokens);
  }

  function renew(ids: readonly string[]): void {
    const time = now();
    save();
    moveTo(time);
    for (const id of ids) {
      // An answer that goes on is under way, though its renewals came too late for a while.
      const charge = open.get(id)?.charge ?? reopen(id);
      if (charge === undefined) continue;
      charge.expires_at = time + LEASE_MS;
      store.exec('UPDATE charges SET expires_at = ? WHERE id = ?', charge.expires_at, id);
    }
  }

  const settle: Ledger['settle'] = ({ id, spender, spent, unlimited }) => {
    const time = now();
    moveTo(time);
    const total = spent.prompt + spent.completion;
    const held = open.get(id);
    // What an `Idempotency-Key` has paid is known to the database alone.
    if (held?.charge.idempotency === null) return settleHeld(held, { total, spent, time });
    save();
    const charge = find(id);
    if (charge?.state === 'settled') return;
    if (charge === null) return record({ id, total, spender, spent, unlimited, time });
    const { state, tokens: reserved } = charge;
    const charged = Math.max(0, total - repeats.paidBefore(charge));
    store.transaction(() => {
      setTokens(charge, charged);
      store.exec("UPDATE charges SET state = 'settled', expires_at = ? WHERE id = ?", time, id);
      charge.state = 'settled';
      if (charge.idempotency !== null) repeats.paid(charge.idempotency, total);
      settleWindows(charge.day, {
        charged: charged - reserved,
        settled: charged - (state === 'lapsed' ? reserved : 0),
      });
      book(charge, spent);
    });
    open.delete(id);
  };

  /** Nearly every settlement: nothing is read from the database, and nothing written yet. */
  function settleHeld(
    { charge, entry }: Open,
    { total, spent, time }: { total: number; spent: Spent; time: number },
  ): void {
    const change = { charged: total - charge.tokens, settled: total };
    for (const window of windowsOf(charge.day)) windows.add(window, change);
    Object.assign(charge, { tokens: total, state: 'settled', expires_at: time, revision: charge.revision + 1 });
    minute.correct(entry, total);
    open.delete(charge.id);
    settling.set(charge.id, { charge, spent });
  }

  /** Books a request without a reservation: its tenant has no limits, or it came too late. */
  function record({
    id,
    total,
    spender,
    spent,
    unlimited,
    time,
  }: { id: string; total: number; time: number } & Pick<Settlement, 'spent' | 'unlimited'> &
    Pick<LedgerAsk, 'spender'>): void {
    const charge: Charge = {
      id,
      at: time,
      expires_at: time,
      state: 'settled',
      tokens: total,
      credit: 0,
      day: dayOf(time),
      ...spender,
      prompt: null,
      idempotency: null,
      revision: 0,
    };
    store.transaction(() => {
      insertCharge(store, charge);
      // A settlement that comes late says nothing of the limits of now.
      if (unlimited) setCaps({ caps: NO_LIMITS, operatorCaps: NO_LIMITS }, charge.day);
      settleWindows(charge.day, { charged: total, settled: total });
      book(charge, spent);
    });
    minute.add({ at: time, tokens: total, prompt: null });
  }

  function tidy(): number | null {
    const time = now();
    save();
    moveTo(time);
    store.exec(
      `DELETE FROM charges WHERE state <> 'open' AND at <= ?
       OR state = 'settled' AND idempotency IS NULL AND expires_at <= ?`,
      ...[time - KEEP_MS, time - KEEP_SETTLED_MS],
    );
    repeats.tidy(time);
    windows.tidy(time);
    const [next] = store
      .exec<{ at: number | null }>(
        `SELECT MIN(CASE
           WHEN state = 'open' THEN expires_at
           WHEN state = 'settled' AND idempotency IS NULL THEN expires_at + ${KEEP_SETTLED_MS}
           ELSE at + ${KEEP_MS} END) AS at FROM charges`,
      )
      .toArray();
    return next?.at == null ? null : Math.max(0, next.at - time);
  }

  function confirm(id: string): boolean {
    save();
    return find(id) !== null;
  }

  return { reserve, save, confirm, grow, renew, settle, tidy };
}
