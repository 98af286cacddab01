/**
 * Shows how the soak goes: a bar on a terminal, and elsewhere a line for every tenth. Such a line
 * has the most rows that were open since the last one, because at a tenth most have come back.
 */
import { progressBar } from '../cli/options/progress-bar.ts';

export type SoakProgress = {
  update(done: number, now: { residentBytes: number; rows: number }): void;
  stop(): void;
};

/** @param now the time in milliseconds */
export function soakProgress(
  total: number,
  {
    terminal = process.stderr.isTTY === true,
    print = console.error,
    now = () => performance.now(),
  }: { terminal?: boolean; print?: (line: string) => void; now?: () => number } = {},
): SoakProgress {
  const began = now();
  const figures = (done: number, { residentBytes, rows }: { residentBytes: number; rows: number }) => {
    const seconds = (now() - began) / 1000;
    return `${(done / seconds).toFixed(1)} requests/s, ${(residentBytes / 1e6).toFixed(0)} MB resident, ${rows} rows open`;
  };
  if (!terminal) {
    let [tenths, mostRows] = [0, 0];
    return {
      update(done, { residentBytes, rows }) {
        mostRows = Math.max(mostRows, rows);
        const reached = Math.floor((10 * done) / total);
        if (reached <= tenths) return;
        print(`soak: ${done}/${total} requests, ${figures(done, { residentBytes, rows: mostRows })}`);
        [tenths, mostRows] = [reached, 0];
      },
      stop: () => {},
    };
  }
  const bar = progressBar('soak', '{value}/{total} requests, {figures}');
  bar.start(total, 0, { figures: '' });
  return {
    update: (done, current) => bar.update(done, { figures: figures(done, current) }),
    stop: () => bar.stop(),
  };
}
