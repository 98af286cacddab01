/** What an account says of itself: its day, its month, and which shares of them were told of. */
import type { AccountStatement } from '../objects/tenant-account-contract.ts';
import type { Alert } from './alerts.ts';
import type { Store } from './store.ts';
import { dayOf, windowsOf } from './windows.ts';

/** Alerts of this month and the day: there are a few for each share. */
const MOST_ALERTS = 100;

type Row = Alert & { next_at: number | null };

/** Call it once all that was decided is written. */
export function readStatement(
  { exec }: Store,
  { now, shares }: { now: number; shares: readonly number[] | null },
): AccountStatement {
  const [day, month] = windowsOf(dayOf(now));
  const windowOf = (name: string) => {
    const query = 'SELECT charged, settled FROM windows WHERE name = ?';
    const [row] = exec<{ charged: number; settled: number }>(query, name).toArray();
    return { window: name, charged: row?.charged ?? 0, settled: row?.settled ?? 0 };
  };
  const told = exec<Row>(
    `SELECT * FROM alerts WHERE window >= ? ORDER BY at DESC, share DESC LIMIT ${MOST_ALERTS}`,
    month,
  ).toArray();
  return {
    day: windowOf(day),
    month: windowOf(month),
    shares,
    alerts: told.map(({ window, share, cap, set_by, settled, at, attempts, next_at }) => ({
      ...{ window, share, cap, settled, at },
      setBy: set_by,
      isWaiting: next_at !== null,
      attempts,
    })),
  };
}
