/**
 * Decoding in f32 reads all weights for every token. How near is a step to the time that reading
 * takes alone? The machine's read bandwidth is measured in the same rounds, with as many threads.
 * One stream, greedy: the whole engine, and the model alone.
 *
 * Written down before measuring: 0.8 for the model alone, 0.75 for the engine.
 */
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { BUNDLE_FILES } from '#gpu-backend/model/bundle-files.ts';
import { alternate, median } from '../../harness/measure.ts';
import { withContenders } from '../contenders.ts';
import { storyPrompts } from '../prompts.ts';
import { openReadBandwidth } from '../read-bandwidth.ts';
import { type Figure, type Row, result } from '../row.ts';
import { msPerStep } from '../token-times.ts';

const CONTEXT = 1024;

export const bandwidthRow: Row = {
  title: 'decoding in f32 against reading its weights',
  async run({ model, rounds, tokens, threads }) {
    const [prompt] = storyPrompts(await model.head(), 1) as [number[]];
    const bundle = await model.plain('f32');
    // The table is tied in both models, so a step reads all of the file: as the head.
    const { size: bytes } = await stat(path.join(bundle, BUNDLE_FILES.weights));
    return withContenders(async (contenders) => {
      const bandwidth = contenders.keep(await openReadBandwidth({ threads }));
      const engine = await contenders.engine(bundle, { threads, context: CONTEXT, rows: 2 });
      const experts = await contenders.experts(bundle, { threads, context: CONTEXT });
      const ask = { experts: 1, prompts: [prompt], tokens, draw: 'greedy' } as const;
      const [read, whole, alone] = await alternate(
        [
          { name: 'reading as many bytes', run: async () => (1000 * bytes) / (await bandwidth.bytesPerSecond()) },
          { name: 'whole engine', run: async () => msPerStep((await engine.ask('answers', ask)).times) },
          {
            name: 'model alone',
            run: () => experts.ask('steps', { sources: ['safety'], prompt, steps: tokens }),
          },
        ],
        { rounds },
      );
      const share = (step: typeof whole) => median(read.values.map((ms, i) => ms / step.values[i]!));
      const figure = (name: string, ratio: number, reach: number | null, expected: string): Figure => {
        return { name, against: 'a step', ratio, reach, expected, better: 'higher' };
      };
      const gigabytes = median(read.values.map((ms) => bytes / ms / 1e6));
      return result({
        figures: [
          figure('reading the f32 weights (whole engine, one stream)', share(whole), 0.8, '0.75'),
          figure('reading the f32 weights (model alone, one row)', share(alone), null, '0.8'),
        ],
        tables: [{ title: 'one token, one expert, f32', unit: 'ms', measured: [read, whole, alone] }],
        notes: [
          `${threads} threads read ${gigabytes.toFixed(1)} GB/s together; a step reads ${(bytes / 1e6).toFixed(0)} MB`,
        ],
      });
    });
  },
};
