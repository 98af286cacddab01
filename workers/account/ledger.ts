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
 * fails.
 *
 * Everything here is synchronous, so no two requests are ever inside at once. What the clock and
 * the limits need is held in memory and read back from the rows when the object starts.
 */
import type {
  Allowances,
  Caps,
  Denial,
  Growth,
  LimitName,
  Limits,
  Settlement,
  Spender,
  Verdict,
} from '../objects/tenant-account-contract.ts';
import { createMinute, type Entry, MINUTE_MS } from './minute.ts';
import type { Store } from './store.ts';
import { createWindows, dayOf, untilNextDay, untilNextMonth, windowsOf } from './windows.ts';

/** A worker at a stream renews its lease every third of this. */
export const LEASE_MS = 60_000;
/**
 * How long after its settlement a row is kept once nothing but a repeated call can ask for it
 * again. Callers repeat a call within seconds.
 */
const KEEP_SETTLED_MS = 10 * 60_000;
/** How long a late settlement is waited for, and how long an `Idempotency-Key` holds. */
export const KEEP_MS = 24 * 60 * 60_000;
/**
 * How often a request with an `Idempotency-Key` may be repeated without being charged again. Each
 * time it is worked on again, so a key must not be a ticket for any amount of work.
 */
export const FREE_REPEATS = 3;

/** An `Ask` whose digests are salted already. `prompt` is null unless its tries are limited. */
export type LedgerAsk = {
  id: string;
  spender: Omit<Spender, 'tenant'>;
  tokens: number;
  limits: Limits;
  caps: Caps;
  prompt: string | null;
  idempotency: { key: string; body: string } | null;
};

type State = 'open' | 'lapsed' | 'settled';
type Charge = {
  id: string;
  at: number;
  expires_at: number;
  state: State;
  tokens: number;
  credit: number;
  day: string;
  key: string;
  model: string;
  prompt: string | null;
  idempotency: string | null;
  /** How often its cost was booked. */
  revision: number;
};
type Open = { charge: Charge; entry: Entry };

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
  settled: number;
  /** Whether a request was just turned away because of it. */
  full: boolean;
};

export type Ledger = {
  /**
   * Decides in memory, so that the answer need not wait for the disk. What is granted is written by
   * the next call of anything else; `save` does nothing but that.
   */
  reserve(ask: LedgerAsk): Verdict;
  save(): void;
  /** Whether the request is in the books, and on disk once this call's writes are. */
  confirm(id: string): boolean;
  grow(id: string, tokens: number, limits: Limits): Growth;
  renew(ids: readonly string[]): void;
  settle(settlement: Omit<Settlement, 'spender'> & { spender: Omit<Spender, 'tenant'> }): void;
  /**
   * Lets leases run out and drops rows that nobody will ask for. Returns when to call it again, in
   * ms from now.
   */
  tidy(): number | null;
};

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
  const open = new Map<string, Open>();
  // Granted, and not written yet.
  let unsaved: Charge[] = [];
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
    if (unsaved.length === 0) return;
    store.transaction(() => {
      for (const charge of unsaved) insert(charge);
      windows.save();
    });
    unsaved = [];
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

  function book(charge: Charge, { prompt, completion }: { prompt: number; completion: number }): void {
    charge.revision += 1;
    const { id, key, model, day, tokens, revision } = charge;
    store.exec('UPDATE charges SET revision = ? WHERE id = ?', revision, id);
    keepUsage?.({
      request: id,
      key,
      model,
      day,
      prompt_tokens: prompt,
      completion_tokens: completion,
      charged_tokens: tokens,
      revision,
    });
  }

  function settleWindows(day: string, change: { charged: number; settled: number }): void {
    for (const window of windowsOf(day)) windows.add(window, change);
    windows.save();
    for (const window of windowsOf(day)) report(window, false);
  }

  function report(window: string, full: boolean): void {
    const { cap, settled } = windows.read(window);
    if (cap !== null) onBudget?.({ window, cap, settled, full });
  }

  function find(id: string): Charge | null {
    const held = open.get(id)?.charge;
    return held ?? store.exec<Charge>('SELECT * FROM charges WHERE id = ?', id).toArray()[0] ?? null;
  }

  function allowances({ requests_per_minute, tokens_per_minute }: Limits): Allowances {
    const resetMs = minute.untilEmpty();
    const of = (limit: number | null, used: number) =>
      limit === null ? null : { limit, remaining: Math.max(0, limit - used), resetMs };
    return { requests: of(requests_per_minute, minute.requests()), tokens: of(tokens_per_minute, minute.tokens()) };
  }

  /** The limits on tokens that `more` of them would break. */
  function tokensInTheWay(limits: Limits, more: number, { time, day: date }: { time: number; day: string }): Denial[] {
    const [day, month] = windowsOf(date);
    const check = (
      limit: 'tokens_per_minute' | 'tokens_per_day' | 'tokens_per_month',
      used: number,
      wait: () => number,
    ) => {
      const most = limits[limit];
      if (most === null || more === 0 || used + more <= most) return [];
      const tooLarge = more > most;
      return [{ limit, most, used, retryAfterMs: tooLarge ? null : wait(), tooLarge }];
    };
    return [
      ...check('tokens_per_minute', minute.tokens(), () => minute.untilTokens(limits.tokens_per_minute ?? 0, more)),
      ...check('tokens_per_day', windows.read(day).charged, () => untilNextDay(time)),
      ...check('tokens_per_month', windows.read(month).charged, () => untilNextMonth(time)),
    ];
  }

  function inTheWay({ limits, prompt }: LedgerAsk, counted: number, time: number): Denial[] {
    const check = (limit: LimitName, used: number, wait: (most: number) => number | null): Denial[] => {
      const most = limits[limit];
      if (most === null || used < most) return [];
      return [{ limit, most, used, retryAfterMs: most === 0 ? null : wait(most), tooLarge: most === 0 }];
    };
    return [
      ...check('requests_per_minute', minute.requests(), (most) => minute.untilRequest(most)),
      ...(prompt === null
        ? []
        : check('tries_per_prompt_per_minute', minute.tries(prompt), (most) => minute.untilTry(most, prompt))),
      // No clock tells when an answer will end.
      ...check('concurrent_streams', open.size, () => null),
      ...tokensInTheWay(limits, counted, { time, day: dayOf(time) }),
    ];
  }

  function reserve(ask: LedgerAsk): Verdict {
    const time = now();
    moveTo(time);
    const { id, limits, spender, prompt, idempotency } = ask;
    const granted = (): Verdict => ({ outcome: 'granted', leaseMs: LEASE_MS, allowances: allowances(limits) });
    if (find(id) !== null) return granted();

    const earlier = idempotency && recall(idempotency.key, time);
    if (earlier !== null && earlier.body !== idempotency?.body) return { outcome: 'key-reused' };
    if (earlier !== null && open.has(earlier.request)) return { outcome: 'key-in-use' };
    const credit = earlier === null ? 0 : creditOf(earlier, 1);
    const counted = Math.max(0, ask.tokens - credit);

    const day = dayOf(time);
    const [dayWindow, monthWindow] = windowsOf(day);
    const denial = strictest(inTheWay(ask, counted, time));
    if (denial !== null) {
      setCaps(ask.caps, day);
      // What is full for one key need not be full for its tenant.
      if (isFull('tokens_per_day', ask, denial)) report(dayWindow, true);
      if (isFull('tokens_per_month', ask, denial)) report(monthWindow, true);
      return { outcome: 'denied', denial, allowances: allowances(limits) };
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
    setCaps(ask.caps, day);
    for (const window of windowsOf(day)) windows.add(window, { charged: counted, settled: 0 });
    unsaved.push(charge);
    if (idempotency !== null) {
      store.transaction(() => {
        save();
        remember(idempotency, { id, repeats: earlier && earlier.repeats + 1, time });
      });
    }
    const entry = { at: time, tokens: counted, prompt };
    minute.add(entry);
    hold({ charge, entry });
    return granted();
  }

  function setCaps(caps: Caps, day: string): void {
    const [dayWindow, monthWindow] = windowsOf(day);
    windows.setCap(dayWindow, caps.tokens_per_day);
    windows.setCap(monthWindow, caps.tokens_per_month);
  }

  function insert(charge: Charge): void {
    const { id, at, expires_at, state, tokens, credit, day, key, model, prompt, idempotency, revision } = charge;
    store.exec(
      `INSERT INTO charges (id, at, expires_at, state, tokens, credit, day, key, model, prompt, idempotency, revision)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      ...[id, at, expires_at, state, tokens, credit, day, key, model, prompt, idempotency, revision],
    );
  }

  function grow(id: string, tokens: number, limits: Limits): Growth {
    const time = now();
    save();
    moveTo(time);
    const charge = find(id);
    if (charge === null || charge.state === 'settled') return { outcome: 'granted' };
    if (charge.state === 'lapsed') return { outcome: 'lapsed' };
    const more = tokens - paidBefore(charge) - charge.tokens;
    if (more <= 0) return { outcome: 'granted' };
    const denial = strictest(tokensInTheWay(limits, more, { time, day: charge.day }));
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

  const settle: Ledger['settle'] = ({ id, spender, spent }) => {
    const time = now();
    save();
    moveTo(time);
    const total = spent.prompt + spent.completion;
    const charge = find(id);
    if (charge?.state === 'settled') return;
    if (charge === null) return record({ id, total, spender, spent, time });
    const { state, tokens: reserved } = charge;
    const charged = Math.max(0, total - paidBefore(charge));
    store.transaction(() => {
      setTokens(charge, charged);
      store.exec("UPDATE charges SET state = 'settled', expires_at = ? WHERE id = ?", time, id);
      charge.state = 'settled';
      if (charge.idempotency !== null) {
        store.exec('UPDATE idempotency SET paid = MAX(paid, ?) WHERE key = ?', total, charge.idempotency);
      }
      settleWindows(charge.day, {
        charged: charged - reserved,
        settled: charged - (state === 'lapsed' ? reserved : 0),
      });
      book(charge, spent);
    });
    open.delete(id);
  };

  /** Books a request that nothing was reserved for, because its tenant has no limits. */
  function record({
    id,
    total,
    spender,
    spent,
    time,
  }: { id: string; total: number; time: number } & Pick<Settlement, 'spent'> & Pick<LedgerAsk, 'spender'>): void {
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
      insert(charge);
      settleWindows(charge.day, { charged: total, settled: total });
      book(charge, spent);
    });
    minute.add({ at: time, tokens: total, prompt: null });
  }

  type Remembered = { key: string; body: string; request: string; paid: number; repeats: number; at: number };

  function recall(key: string, time: number): Remembered | null {
    const [row] = store.exec<Remembered>('SELECT * FROM idempotency WHERE key = ?', key).toArray();
    return row === undefined || time - row.at >= KEEP_MS ? null : row;
  }

  function remember(
    { key, body }: { key: string; body: string },
    { id, repeats, time }: { id: string; repeats: number | null; time: number },
  ): void {
    if (repeats !== null) {
      store.exec('UPDATE idempotency SET request = ?, repeats = ? WHERE key = ?', id, repeats, key);
      return;
    }
    store.exec(
      'INSERT OR REPLACE INTO idempotency (key, body, request, paid, repeats, at) VALUES (?, ?, ?, 0, 0, ?)',
      ...[key, body, id, time],
    );
  }

  /** What a further request with this key need not pay. */
  function creditOf({ paid, repeats }: Pick<Remembered, 'paid' | 'repeats'>, more: 0 | 1): number {
    return repeats + more > FREE_REPEATS ? 0 : paid;
  }

  /**
   * What others with the same `Idempotency-Key` have paid so far. If this request's lease ran out,
   * that can be more than when it began.
   */
  function paidBefore({ credit, idempotency }: Charge): number {
    if (idempotency === null) return 0;
    const [row] = store.exec<Remembered>('SELECT * FROM idempotency WHERE key = ?', idempotency).toArray();
    return row === undefined ? credit : Math.max(credit, creditOf(row, 0));
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
    store.exec('DELETE FROM idempotency WHERE at <= ?', time - KEEP_MS);
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

/** Whether a denial says that the tenant has reached this cap. */
function isFull(name: keyof Caps, { caps }: LedgerAsk, { limit, most, tooLarge }: Denial): boolean {
  return limit === name && most === caps[name] && !tooLarge;
}

/** Of all limits that are in the way, the one to name; null if none is. */
function strictest(denials: readonly Denial[]): Denial | null {
  const tooLarge = denials.find((denial) => denial.tooLarge);
  if (tooLarge !== undefined) return tooLarge;
  const [first, ...rest] = denials;
  if (first === undefined) return null;
  const longest = rest.reduce((a, b) => ((b.retryAfterMs ?? -1) > (a.retryAfterMs ?? -1) ? b : a), first);
  // If one of them waits for no clock, neither does the request.
  return denials.some(({ retryAfterMs }) => retryAfterMs === null) ? { ...longest, retryAfterMs: null } : longest;
}
