/** The two things that take time: reading states, counted in tokens, and fits. */
import { Presets, SingleBar } from 'cli-progress';

const LINES = { noTTYOutput: true, notTTYSchedule: 5000 };

/** @param tokens of each prompt, in the order in which they are read */
export function promptsBar(tokens: readonly number[]) {
  const total = tokens.reduce((sum, count) => sum + count, 0);
  const format = `states {bar} {prompts}/${tokens.length} prompts, {left}`;
  const bar = new SingleBar({ format, ...LINES }, Presets.rect);
  let [done, prompts, begun, readNow] = [0, 0, Date.now(), 0];
  bar.start(total, 0, { prompts, left: '' });
  return {
    /** What was on disk says nothing about how long the rest takes. */
    onPrompts(count: number, read: boolean) {
      const now = tokens.slice(prompts, prompts + count).reduce((sum, each) => sum + each, 0);
      prompts += count;
      done += now;
      if (read) readNow += now;
      else begun = Date.now();
      const seconds = (Date.now() - begun) / 1000;
      const left = readNow === 0 ? '' : `${Math.ceil(((total - done) * seconds) / readNow / 60)} min left`;
      bar.update(done, { prompts, left });
    },
    stop: () => bar.stop(),
  };
}

export function fitsBar() {
  const bar = new SingleBar({ format: 'fits {value}', ...LINES }, Presets.rect);
  bar.start(0, 0);
  return { onFit: () => bar.increment(), stop: () => bar.stop() };
}
