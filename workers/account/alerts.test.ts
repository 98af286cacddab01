/** Alerts in their table, with a clock that the test moves. */
import { expect, test } from 'vitest';
import { createSqliteStore } from '../testing/sqlite-store.ts';
import { createAlerts, MOST_OWN_LIMITS } from './alerts.ts';
import type { Budget } from './ledger-contract.ts';

const NOVEMBER = Date.UTC(2026, 10, 29, 12);
const DAY = 24 * 3_600_000;

function startAlerts() {
  const clock = { time: NOVEMBER };
  const alerts = createAlerts({ store: createSqliteStore(), shares: [0.5], now: () => clock.time });
  const note = (window: string, cap = 100, settled = 60, setBy: Budget['setBy'] = 'operator') =>
    alerts.note({ window, cap, settled, full: false, setBy });
  const deliverAll = () =>
    alerts.due().map((alert) => {
      alerts.delivered(alert);
      return `${alert.window} of ${alert.cap}`;
    });
  return { alerts, clock, note, deliverAll };
}

test('a share is told once for each limit, so a lower one hides no other', () => {
  const { note, deliverAll } = startAlerts();
  note('2026-11-29');
  note('2026-11-29');
  expect(deliverAll()).toEqual(['2026-11-29 of 100']);
  note('2026-11-29', 1_000, 600);
  note('2026-11-29');
  expect(deliverAll()).toEqual(['2026-11-29 of 1000']);
});

test('a tenant that sets ever other limits is told of for a few of them, and those of the operator are told all the same', () => {
  const { note, deliverAll } = startAlerts();
  for (let cap = 1; cap <= 50; cap++) note('2026-11-29', cap, 60, 'tenant');
  expect(deliverAll()).toHaveLength(MOST_OWN_LIMITS);
  // Of those, and in another window, whatever comes is still told.
  note('2026-11-30', 7, 60, 'tenant');
  note('2026-11-29', 120, 60, 'operator');
  note('2026-11-29', 110, 60, 'operator');
  expect(deliverAll().sort()).toEqual(['2026-11-29 of 110', '2026-11-29 of 120', '2026-11-30 of 7']);
});

test('what was told is forgotten when its day and month are long over, and not before', () => {
  const { alerts, clock, note, deliverAll } = startAlerts();
  note('2026-11-29');
  note('2026-11');
  note('2026-11-01');
  expect(deliverAll()).toHaveLength(3);
  clock.time += 20 * DAY;
  alerts.tidy();
  // December 19: November is over, and its first is more than forty days ago.
  for (const window of ['2026-11-29', '2026-11', '2026-11-01']) note(window);
  expect(deliverAll().sort()).toEqual(['2026-11 of 100', '2026-11-01 of 100']);
});

test('what was not delivered is kept, however old it is', () => {
  const { alerts, clock, note } = startAlerts();
  note('2026-11-29');
  clock.time += 100 * DAY;
  alerts.tidy();
  expect(alerts.due()).toHaveLength(1);
});
