/**
 * Decoding with one expert against llama.cpp on the same weights, one stream and eight: tokens a
 * second, greedy on both sides. Ours is the whole engine: scheduler, gate, text, messages to the
 * caller's thread. llama.cpp's is node-llama-cpp's `evaluate` with temperature 0: its sampler
 * (candidates and argmax), and one call to native code a step. Eight streams are eight sequences of
 * one context, computed as one batch. Same threads, same context. Our keys and values are f32,
 * llama.cpp's are f16, which is its default.
 *
 * Written down before measuring (0.78, 1.96 and 0.34 were found before): f32 0.9 and 2.0, int4 0.6
 * to 0.8 and 1.2.
 */
import { alternate, medianRatio } from '../../harness/measure.ts';
import { withContenders } from '../contenders.ts';
import type { WeightKind } from '../models.ts';
import { storyPrompts } from '../prompts.ts';
import { type Figure, type Row, result, type Table } from '../row.ts';
import { tokensPerSecond } from '../token-times.ts';

const CONTEXT = 1024;
const STREAMS = [1, 8] as const;

export const LLAMA_CPP: Record<WeightKind, string> = { f32: 'llama.cpp f32', int4: 'llama.cpp Q4_1' };

const REACH: Record<WeightKind, Record<(typeof STREAMS)[number], { reach: number; expected: string }>> = {
  f32: { 1: { reach: 0.95, expected: '0.9' }, 8: { reach: 2, expected: '2.0' } },
  int4: { 1: { reach: 0.8, expected: '0.6-0.8' }, 8: { reach: 1.2, expected: '1.2' } },
};

export const decodeRow: Row = {
  title: 'decoding against llama.cpp',
  async run({ model, rounds, tokens, threads }) {
    const figures: Figure[] = [];
    const tables: Table[] = [];
    const prompts = storyPrompts(await model.head(), Math.max(...STREAMS));
    for (const kind of ['f32', 'int4'] as const) {
      await withContenders(async (contenders) => {
        const place = { threads, context: CONTEXT, rows: prompts.length };
        const ours = await contenders.engine(await model.plain(kind), place);
        const peer = await contenders.llamaCpp(await model.gguf(kind), { threads });
        const pair = (streams: number) => {
          const asked = prompts.slice(0, streams);
          const ask = { experts: 1, prompts: asked, tokens, draw: 'greedy' } as const;
          const options = { count: tokens + 1, contextSize: CONTEXT, threads };
          return [
            {
              name: `ours ${kind}, ${streams} at once`,
              run: async () => tokensPerSecond((await ours.ask('answers', ask)).times),
            },
            {
              name: `${LLAMA_CPP[kind]}, ${streams} at once`,
              run: async () => tokensPerSecond((await peer.streams(asked, options)).times),
            },
          ];
        };
        const measured = await alternate(STREAMS.flatMap(pair), { rounds });
        tables.push({ title: `decoding, one expert, greedy, ${kind}`, unit: 'tokens/s', measured });
        STREAMS.forEach((streams, i) => {
          figures.push({
            name: `decoding ${kind}, ${streams} at once, tokens/s`,
            against: LLAMA_CPP[kind],
            ratio: medianRatio(measured[2 * i]!, measured[2 * i + 1]!),
            better: 'higher',
            ...REACH[kind][streams],
          });
        });
      });
    }
    return result({ figures, tables });
  },
};
