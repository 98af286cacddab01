import { progressBar } from './progress-bar.ts';

/** Shows a progress bar on a terminal, and otherwise prints a line every few seconds. */
export function byteProgress(label: string, size: number): { onBytes: (bytes: number) => void; done: () => void } {
  const bar = progressBar(label, `{megabytes}/${megabytes(size)} MB`);
  bar.start(size, 0, { megabytes: megabytes(0) });
  const onBytes = (bytes: number) => {
    // pip copies a file before it removes the first one, so for a moment there is too much.
    const shown = Math.min(bytes, size);
    bar.update(shown, { megabytes: megabytes(shown) });
  };
  return { onBytes, done: () => bar.stop() };
}

/** As people read it: 98.4. */
export const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);
