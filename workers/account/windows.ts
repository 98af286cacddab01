/** The days and months of UTC, and what was charged in each. */
import type { Store } from './store.ts';

type Caps = { cap: number | null; operator_cap: number | null };
type Window = Caps & { charged: number; settled: number };
type Row = Window & { name: string };

/** A month's sum is asked for at most this long after the month. */
const KEEP_DAYS = 100;
export const DAY_MS = 24 * 60 * 60_000;
/** More than a day and a month are asked for only by late settlements. */
const MAX_HELD = 16;

/** '2026-11-29' */
export function dayOf(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}

/** The two windows that a charge of this day counts in: '2026-11-29' and '2026-11'. */
export function windowsOf(day: string): readonly [day: string, month: string] {
  return [day, day.slice(0, 7)];
}

export function untilNextDay(time: number): number {
  return DAY_MS - (time % DAY_MS);
}

export function untilNextMonth(time: number): number {
  const date = new Date(time);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1) - time;
}

export type Windows = ReturnType<typeof createWindows>;

export function createWindows({ exec }: Store) {
  const held = new Map<string, Window>();
  const unsaved = new Set<string>();

  function read(name: string): Window {
    const known = held.get(name);
    if (known !== undefined) return known;
    if (held.size >= MAX_HELD && unsaved.size === 0) held.clear();
    const [row] = exec<Row>('SELECT * FROM windows WHERE name = ?', name).toArray();
    const window = row ?? { charged: 0, settled: 0, cap: null, operator_cap: null };
    held.set(name, window);
    return window;
  }

  function change(name: string, to: Partial<Window>): void {
    held.set(name, { ...read(name), ...to });
    unsaved.add(name);
  }

  return {
    read,
    add(name: string, { charged, settled }: { charged: number; settled: number }): void {
      if (charged === 0 && settled === 0) return;
      const window = read(name);
      change(name, { charged: window.charged + charged, settled: window.settled + settled });
    },
    setCaps(name: string, caps: Caps): void {
      const { cap, operator_cap } = read(name);
      if (cap !== caps.cap || operator_cap !== caps.operator_cap) change(name, caps);
    },
    /** Writes what has changed since the last time. */
    save(): void {
      for (const name of unsaved) {
        const { charged, settled, cap, operator_cap } = read(name);
        exec(
          'INSERT OR REPLACE INTO windows (name, charged, settled, cap, operator_cap) VALUES (?, ?, ?, ?, ?)',
          ...[name, charged, settled, cap, operator_cap],
        );
      }
      unsaved.clear();
    },
    tidy(time: number): void {
      exec('DELETE FROM windows WHERE name < ?', dayOf(time - KEEP_DAYS * DAY_MS));
    },
  };
}
