/** Numbers and tables in Markdown. */
import type { Interval } from '../analysis/bootstrap.ts';
import { MEASURES, type MeasureId } from '../analysis/measures.ts';

/** For a method that was meant to be measured and was not. */
export const MISSING = '*missing*';
/** For a figure that the method or the set does not have. */
export const NONE = '–';

/** `42.1 [38.0, 46.3]`, in the measure's unit. */
export function formatInterval(interval: Interval | null, measure: MeasureId): string {
  if (!interval) return NONE;
  const { digits } = MEASURES[measure];
  const [mean, low, high] = [interval.mean, interval.low, interval.high].map((value) => fixed(value, digits));
  return `${mean} [${low}, ${high}]`;
}

/** `+3.1 [0.4, 5.8]`: a difference shows its direction. */
export function formatDifference(interval: Interval, measure: MeasureId): string {
  return (interval.mean > 0 ? '+' : '') + formatInterval(interval, measure);
}

/** Writes no minus before a zero. */
export function fixed(value: number, digits: number): string {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? (0).toFixed(digits) : text;
}

/** Whole numbers stay as they are. Others get at most three digits after the point. */
export const plain = (value: number): string =>
  Number.isInteger(value) ? String(value) : fixed(value, value < 1 ? 3 : 1);

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Errors name every question. A page shows only the first of them. */
export const short = (text: string, most = 240): string => (text.length > most ? `${text.slice(0, most)} …` : text);
