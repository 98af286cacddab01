/**
 * Reading a prompt of 512 tokens until the first token of the answer, one expert, greedy, f32,
 * against llama.cpp. Every prompt begins differently, so nothing of it is in a cache. Both sides as
 * in decode.ts.
 *
 * Written down before measuring (1.9 was found before): 1.9.
 */
import { alternate, medianRatio } from '../../harness/measure.ts';
import { withContenders } from '../contenders.ts';
import { longPrompt } from '../prompts.ts';
import { type Row, result } from '../row.ts';
import { LLAMA_CPP } from './decode.ts';

const PROMPT = 512;
const CONTEXT = 1024;

export const prefillRow: Row = {
  title: 'reading a prompt of 512 tokens against llama.cpp',
  async run({ model, rounds, threads }) {
    const head = await model.head();
    let asked = 0;
    const prompt = () => longPrompt(head, PROMPT, { first: `Number ${asked++}` });
    return withContenders(async (contenders) => {
      const ours = await contenders.engine(await model.plain('f32'), { threads, context: CONTEXT, rows: 2 });
      const peer = await contenders.llamaCpp(await model.gguf('f32'), { threads });
      const measured = await alternate(
        [
          {
            name: 'ours f32',
            run: async () => {
              const ask = { experts: 1, prompts: [prompt()], tokens: 1, draw: 'greedy' } as const;
              return (1000 * PROMPT) / (await ours.ask('firstToken', ask));
            },
          },
          {
            name: LLAMA_CPP.f32,
            run: async () => {
              const options = { count: 1, contextSize: CONTEXT, threads };
              const { times, began } = await peer.streams([prompt()], options);
              return (1000 * PROMPT) / (times[0]![0]! - began);
            },
          },
        ],
        { rounds },
      );
      return result({
        figures: [
          {
            name: `prompt of ${PROMPT} tokens f32, tokens/s`,
            against: LLAMA_CPP.f32,
            ratio: medianRatio(...measured),
            reach: 1.9,
            expected: '1.9',
            better: 'higher',
          },
        ],
        tables: [{ title: `a prompt of ${PROMPT} tokens until the first token`, unit: 'tokens/s', measured }],
      });
    });
  },
};
