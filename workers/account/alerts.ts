/**
 * Alerts at shares of a day's or a month's tokens: once per share, window and limit, and for a few
 * limits only of those that a tenant has set itself. They wait in
 * the account's own database until the receiver has taken them, so none is lost when the object
 * moves.
 */
import type { Budget } from './ledger-contract.ts';
import type { Store } from './store.ts';
import { DAY_MS, dayOf } from './windows.ts';

/** The first wait; each further one is four times as long. */
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 60 * 60_000;
/** The waits add up to about fifteen hours. */
const MAX_ATTEMPTS = 20;

/**
 * How many limits of its own a tenant may set in a day or a month and be told of for each. It can
 * set another one 500 times a day, and nobody wants to hear of all.
 */
export const MOST_OWN_LIMITS = 4;

/** Longer than a month: what was told of this month has to be known until it is over. */
const KEEP_DAYS = 40;

export type Alert = {
  window: string;
  share: number;
  cap: number;
  set_by: Budget['setBy'];
  settled: number;
  /** When the share was reached, in milliseconds. */
  at: number;
  /** How often it was sent in vain. */
  attempts: number;
};

export type Alerts = {
  /** Notes the shares that a budget has reached. */
  note(budget: Budget): void;
  due(): Alert[];
  delivered(alert: Alert): void;
  /** Returns whether it will be sent again. */
  failed(alert: Alert): boolean;
  /** When the next one is due, in ms from now; null if none waits. */
  wait(): number | null;
  /** Drops what was told of days and months that are long over. */
  tidy(): void;
};

export function createAlerts({
  store: { exec },
  shares,
  now = Date.now,
}: {
  store: Store;
  shares: readonly number[];
  now?: () => number;
}): Alerts {
  const setNext = ({ window, share, cap }: Alert, attempts: number, nextAt: number | null) =>
    exec(
      'UPDATE alerts SET attempts = ?, next_at = ? WHERE window = ? AND share = ? AND cap = ?',
      ...[attempts, nextAt, window, share, cap],
    );

  function isOneTooMany({ window, cap, setBy }: Budget): boolean {
    if (setBy === 'operator') return false;
    const query = "SELECT DISTINCT cap FROM alerts WHERE window = ? AND set_by = 'tenant'";
    const caps = exec<{ cap: number }>(query, window).toArray();
    return caps.length >= MOST_OWN_LIMITS && !caps.some((each) => each.cap === cap);
  }

  return {
    note(budget) {
      const { window, cap, setBy, settled, full } = budget;
      if (isOneTooMany(budget)) return;
      for (const share of shares) {
        // A request that found no room has reached the end, whatever is still reserved by others.
        if (settled < share * cap && !(full && share === 1)) continue;
        exec(
          `INSERT INTO alerts (window, share, cap, set_by, settled, at, attempts, next_at)
           VALUES (?, ?, ?, ?, ?, ?, 0, ?) ON CONFLICT DO NOTHING`,
          ...[window, share, cap, setBy, settled, now(), now()],
        );
      }
    },
    due: () => exec<Alert>('SELECT * FROM alerts WHERE next_at <= ? ORDER BY at, share', now()).toArray(),
    delivered: (alert) => void setNext(alert, alert.attempts, null),
    failed(alert) {
      const attempts = alert.attempts + 1;
      const goesOn = attempts < MAX_ATTEMPTS;
      const waitMs = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 4 ** alert.attempts);
      setNext(alert, attempts, goesOn ? now() + waitMs : null);
      return goesOn;
    },
    wait() {
      const [first] = exec<{ at: number | null }>('SELECT MIN(next_at) AS at FROM alerts').toArray();
      return first?.at == null ? null : Math.max(0, first.at - now());
    },
    tidy() {
      exec('DELETE FROM alerts WHERE next_at IS NULL AND window < ?', dayOf(now() - KEEP_DAYS * DAY_MS));
    },
  };
}
