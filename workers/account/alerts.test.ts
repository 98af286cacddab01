/** Alerts in their table, with a clock that the test moves. */
import { expect, test } from 'vitest';
import { createSqliteStore } from '../testing/sqlite-store.ts';
import { createAlerts } from './alerts.ts';

const NOVEMBER = Date.UTC(2026, 10, 29, 12);
const DAY = 24 * 3_600_000;

function startAlerts() {
  const clock = { time: NOVEMBER };
  const alerts = createAlerts({ store: createSqliteStore(), shares: [0.5], now: () => clock.time });
  const note = (window: string, cap = 100, settled = 60) => alerts.note({ window, cap, settled, full: false });
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
