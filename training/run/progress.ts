/** Shows a progress bar on a terminal. Elsewhere (logs, CI) prints a line now and then. */
import { Presets, SingleBar } from 'cli-progress';

export type Progress = {
  /** A speed that is not known yet is NaN. */
  update(step: number, figures: { figure: number; tokensPerSecond: number }): void;
  note(line: string): void;
  stop(): void;
};

/** How often we write a line when the output is not a terminal. */
const LINE_EVERY_MS = 15_000;

export function createProgress(
  label: string,
  {
    total,
    start,
    figure = 'loss',
    stream = process.stderr,
  }: {
    total: number;
    start: number;
    /** The name of the figure that the bar shows. */
    figure?: string;
    stream?: NodeJS.WriteStream;
  },
): Progress {
  const startedAt = Date.now();
  const timeLeft = (step: number) => {
    const done = step - start;
    return done === 0 ? '--' : formatSeconds(((Date.now() - startedAt) / done / 1000) * (total - step));
  };
  const payload = (step: number, { figure: value, tokensPerSecond }: { figure: number; tokensPerSecond: number }) => ({
    shown: value.toFixed(4),
    speed: Number.isNaN(tokensPerSecond) ? '--' : Math.round(tokensPerSecond),
    left: timeLeft(step),
  });
  if (!stream.isTTY) {
    let lastLine = 0;
    return {
      update(step, figures) {
        if (Date.now() - lastLine < LINE_EVERY_MS && step < total) return;
        lastLine = Date.now();
        const { shown, speed, left } = payload(step, figures);
        stream.write(`${label} ${step}/${total} ${figure} ${shown} ${speed} tokens/s, ${left} left\n`);
      },
      note: (line) => void stream.write(`${line}\n`),
      stop: () => {},
    };
  }
  const format = `${label} {bar} {value}/{total} ${figure} {shown} {speed} tokens/s, {left} left`;
  const bar = new SingleBar({ format, stream, hideCursor: true, barsize: 24 }, Presets.rect);
  bar.start(total, start, { shown: '--', speed: '--', left: '--' });
  return {
    update: (step, figures) => bar.update(step, payload(step, figures)),
    note(line) {
      stream.write(`\r\x1b[K${line}\n`);
    },
    stop: () => bar.stop(),
  };
}

export function formatSeconds(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)];
  if (hours > 0) return `${hours}h${String(minutes).padStart(2, '0')}m`;
  return minutes > 0 ? `${minutes}m${String(whole % 60).padStart(2, '0')}s` : `${whole}s`;
}
