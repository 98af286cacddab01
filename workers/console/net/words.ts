/** Numbers and times as the reader writes them. */
const LOCALE = navigator.languages.length > 0 ? [...navigator.languages] : ['en'];

const two = new Intl.NumberFormat(LOCALE, {
  minimumFractionDigits: 2,
  maximumFractionDigits: 2,
  // Rounded to nothing, it has no sign.
  signDisplay: 'negative',
});
const upToThree = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 3, signDisplay: 'negative' });
const whole = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0 });
const percent = new Intl.NumberFormat(LOCALE, { style: 'percent', maximumFractionDigits: 1 });
const moment = new Intl.DateTimeFormat(LOCALE, { dateStyle: 'medium', timeStyle: 'short' });
const clock = new Intl.DateTimeFormat(LOCALE, { timeStyle: 'short' });
const seconds = new Intl.DateTimeFormat(LOCALE, { timeStyle: 'medium' });
const month = new Intl.DateTimeFormat(LOCALE, { month: 'long', year: 'numeric', timeZone: 'UTC' });
const day = new Intl.DateTimeFormat(LOCALE, { day: 'numeric', month: 'short', timeZone: 'UTC' });
const relative = new Intl.RelativeTimeFormat(LOCALE, { numeric: 'auto' });

export const inTwo = (value: number) => two.format(value);
export const inShort = (value: number) => upToThree.format(value);
export const inWhole = (value: number) => whole.format(value);
export const inPercent = (value: number) => percent.format(value);
export const inTime = (when: string | number) => moment.format(new Date(when));
/** A day of UTC, as in 2026-11-30. */
export const inDay = (iso: string) => day.format(new Date(iso));
/** A month of UTC, as in 2026-11. */
export const inMonth = (iso: string) => month.format(new Date(`${iso}-01`));
/** As of a clock with a hand for seconds. */
export const inSeconds = (when: string | number) => seconds.format(new Date(when));
export const inClock = (when: string | number) => clock.format(new Date(when));

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1000],
];

/** As in "2 hours ago". */
export function fromNow(when: string | number, now = Date.now()): string {
  const ms = new Date(when).getTime() - now;
  const [unit, size] = STEPS.find(([, size]) => Math.abs(ms) >= size) ?? ['second', 1000];
  return relative.format(Math.round(ms / size), unit);
}

/** Null is no bound. */
export const nats = (value: number | null) => (value === null ? '∞' : inTwo(value));
