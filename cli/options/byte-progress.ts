import { Presets, SingleBar } from 'cli-progress';

/** Shows a progress bar on a terminal, and otherwise prints a line every few seconds. */
export function byteProgress(label: string, size: number): { onBytes: (bytes: number) => void; done: () => void } {
  const format = `${label} {bar} {megabytes}/${megabytes(size)} MB, {eta_formatted} left`;
  const bar = new SingleBar({ format, barsize: 24, noTTYOutput: true, notTTYSchedule: 5000 }, Presets.rect);
  bar.start(size, 0, { megabytes: megabytes(0) });
  return { onBytes: (bytes) => bar.update(bytes, { megabytes: megabytes(bytes) }), done: () => bar.stop() };
}

export const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);
