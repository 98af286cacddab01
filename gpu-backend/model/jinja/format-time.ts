/** Python's `strftime` in English and local time, as far as a chat template writes a date. */
const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];

const two = (value: number) => String(value).padStart(2, '0');
const hour12 = (time: Date) => two(time.getHours() % 12 || 12);

const DIRECTIVES: Readonly<Record<string, (time: Date) => string>> = {
  a: (time) => DAYS[time.getDay()]!.slice(0, 3),
  A: (time) => DAYS[time.getDay()]!,
  b: (time) => MONTHS[time.getMonth()]!.slice(0, 3),
  B: (time) => MONTHS[time.getMonth()]!,
  d: (time) => two(time.getDate()),
  H: (time) => two(time.getHours()),
  I: hour12,
  j: (time) => String(dayOfYear(time)).padStart(3, '0'),
  m: (time) => two(time.getMonth() + 1),
  M: (time) => two(time.getMinutes()),
  p: (time) => (time.getHours() < 12 ? 'AM' : 'PM'),
  S: (time) => two(time.getSeconds()),
  y: (time) => two(time.getFullYear() % 100),
  Y: (time) => String(time.getFullYear()),
  '-d': (time) => String(time.getDate()),
  '-m': (time) => String(time.getMonth() + 1),
  '%': () => '%',
};

function dayOfYear(time: Date): number {
  const [year, month, day] = [time.getFullYear(), time.getMonth(), time.getDate()];
  return 1 + Math.round((Date.UTC(year, month, day) - Date.UTC(year, 0, 1)) / 86_400_000);
}

export function formatTime(time: Date, format: string): string {
  return format.replace(/%(-?.)/gs, (whole, directive: string) => {
    if (!Object.hasOwn(DIRECTIVES, directive)) throw new Error(`strftime_now: ${whole} is not supported`);
    return DIRECTIVES[directive]!(time);
  });
}
