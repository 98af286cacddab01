/** One progress bar for all the fits of a training run: the model that ships, then one per fold. */
import { Presets, SingleBar } from 'cli-progress';

export function fitsBar({ fits, epochs }: { fits: number; epochs: number }) {
  const bar = new SingleBar(
    {
      format: 'training {bar} epoch {value}/{total} of {fits} fits, loss {loss}, {eta_formatted} left',
      noTTYOutput: true,
      notTTYSchedule: 5000,
    },
    Presets.rect,
  );
  bar.start(fits * epochs, 0, { loss: '--', fits });
  return {
    onEpoch: (_: number, loss: number) => bar.increment(1, { loss: loss.toFixed(4) }),
    stop: () => bar.stop(),
  };
}
