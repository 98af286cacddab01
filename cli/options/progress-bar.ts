/** The one kind of progress bar that commands show. */
import { Presets, SingleBar } from 'cli-progress';

/**
 * A bar on a terminal, and elsewhere a line every few seconds: `label`, the bar, `counts` and how
 * long is left. `counts` may use the fields of cli-progress, and those of a payload.
 */
export function progressBar(label: string, counts: string): SingleBar {
  const options = {
    format: `${label} {bar} ${counts}{eta_formatted}`,
    formatTime: timeLeft,
    barsize: 24,
    noTTYOutput: true,
    notTTYSchedule: 5000,
  };
  return new SingleBar(options, Presets.rect);
}

/**
 * The estimate in words, as in `, 4m0s left`, and nothing while there is none. cli-progress then
 * gives 0 or a word.
 */
export function timeLeft(seconds: unknown): string {
  if (typeof seconds !== 'number' || !Number.isFinite(seconds) || seconds <= 0) return '';
  return `, ${inWords(seconds)} left`;
}

function inWords(seconds: number): string {
  if (seconds <= 10) return `${Math.ceil(seconds)}s`;
  // Round first and split then, so that no part becomes 60.
  const rounded = 5 * Math.round(seconds / 5);
  if (rounded < 60) return `${rounded}s`;
  if (rounded < 600) return `${Math.floor(rounded / 60)}m${rounded % 60}s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes}m` : `${Math.floor(minutes / 60)}h${minutes % 60}m`;
}
