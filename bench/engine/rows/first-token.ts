/**
 * Until the first token of a two-expert answer, after a system prompt of 1,000 tokens: one that the
 * same tenant has sent before, with another question, against a new one.
 *
 * Written down before measuring: 0.05 to 0.1. Some twenty tokens are left to read, of a thousand.
 */
import { alternate, medianRatio } from '../../harness/measure.ts';
import { withContenders } from '../contenders.ts';
import { longPrompt } from '../prompts.ts';
import { type Row, result } from '../row.ts';

const PROMPT = 1000;
const CONTEXT = 2048;
/** Enough for every prompt of a few rounds. */
const PREFIX_BYTES = 2 ** 30;

export const firstTokenRow: Row = {
  title: `first token after a system prompt of ${PROMPT} tokens, repeated against new`,
  async run({ model, rounds, threads }) {
    const head = await model.head();
    let asked = 0;
    const prompt = (first: string) => longPrompt(head, PROMPT, { first, question: `Question ${asked++}?` });
    return withContenders(async (contenders) => {
      const options = { threads, context: CONTEXT, rows: 2, prefixBytes: PREFIX_BYTES };
      const engine = await contenders.engine(await model.adapted('f32'), options);
      const firstToken = (ids: number[]) =>
        engine.ask('firstToken', { experts: 2, prompts: [ids], tokens: 1, draw: 'sampled' });
      const measured = await alternate(
        [
          { name: 'repeated', run: () => firstToken(prompt('The same as before')) },
          { name: 'new', run: () => firstToken(prompt(`Number ${asked}`)) },
        ],
        { rounds },
      );
      return result({
        figures: [
          {
            name: `first token after a system prompt of ${PROMPT} tokens, repeated`,
            against: 'new',
            ratio: medianRatio(...measured),
            reach: 0.1,
            expected: '0.05-0.1',
            better: 'lower',
          },
        ],
        tables: [{ title: `first token after a system prompt of ${PROMPT} tokens, two experts`, unit: 'ms', measured }],
      });
    });
  },
};
