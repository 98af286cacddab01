/**
 * A prompt of 2,000 tokens arrives while an answer runs. How long does the answer wait for its next
 * token then, against its usual gap? Both have two experts, and the prompt is another tenant's.
 *
 * Written down before measuring: 2 to 2.5 at the worst, with prompts read a little at a time.
 */
import { median } from '../../harness/measure.ts';
import { withContenders } from '../contenders.ts';
import { longPrompt, storyPrompts } from '../prompts.ts';
import { type Row, result } from '../row.ts';
import { gapsOf } from '../token-times.ts';

const PROMPT = 2000;
const CONTEXT = 4096;
/** Tokens of the running answer before the prompt arrives. */
const BEFORE = 40;
/** Enough that the answer still runs when the prompt has been read. It is stopped soon after. */
const TOKENS = 1500;

export const gapRow: Row = {
  title: `an answer's gaps while a prompt of ${PROMPT} tokens arrives`,
  async run({ model, rounds, threads }) {
    const head = await model.head();
    const [story] = storyPrompts(head, 1) as [number[]];
    return withContenders(async (contenders) => {
      const engine = await contenders.engine(await model.adapted('f32'), { threads, context: CONTEXT, rows: 4 });
      const once = (round: number) => {
        const both = { experts: 2, draw: 'sampled' } as const;
        return engine.ask('interrupted', {
          running: { ...both, prompts: [story], tokens: TOKENS },
          arriving: { ...both, prompts: [longPrompt(head, PROMPT, { first: `Number ${round}` })], tokens: 1 },
          before: BEFORE,
        });
      };
      // Warms everything up.
      await once(-1);
      const runs = [];
      for (let round = 0; round < rounds; round++) runs.push(await once(round));
      const seen = runs.map(({ times, arrived, answered }) => {
        const gaps = gapsOf(times).map((ms, i) => ({ ms, at: times[i + 1]!, since: times[i]! }));
        // The first gaps still belong to the start of the answer.
        const usual = median(gaps.slice(5, BEFORE - 1).map(({ ms }) => ms));
        const meanwhile = gaps.filter(({ at, since }) => at > arrived && since < answered).map(({ ms }) => ms);
        return {
          usual,
          worst: Math.max(...meanwhile),
          middle: median(meanwhile),
          read: answered - arrived,
          gaps,
          arrived,
        };
      });
      const values = (name: string, of: (one: (typeof seen)[number]) => number) => {
        const all = seen.map(of);
        return { name, values: all, median: median(all) };
      };
      // The round in the middle.
      const shown = seen.toSorted((a, b) => a.worst / a.usual - b.worst / b.usual)[Math.floor(seen.length / 2)]!;
      return result({
        figures: [
          {
            name: `the longest gap while a prompt of ${PROMPT} tokens is read`,
            against: 'the usual gap',
            ratio: median(seen.map(({ worst, usual }) => worst / usual)),
            reach: 2.5,
            expected: '2-2.5',
            better: 'lower',
          },
          {
            name: `the median gap while a prompt of ${PROMPT} tokens is read`,
            against: 'the usual gap',
            ratio: median(seen.map(({ middle, usual }) => middle / usual)),
            reach: null,
            expected: '1.5-2',
            better: 'lower',
          },
        ],
        tables: [
          {
            title: 'gaps of the running answer, two experts, f32',
            unit: 'ms',
            measured: [
              values('usual', ({ usual }) => usual),
              values('median while the prompt is read', ({ middle }) => middle),
              values('longest while the prompt is read', ({ worst }) => worst),
              values('until the prompt is answered', ({ read }) => read),
            ],
          },
        ],
        points: {
          gaps: shown.gaps.map(({ at, ms }) => ({ name: 'gap', x: (at - shown.arrived) / 1000, y: ms / shown.usual })),
          reading: [{ name: 'read', x: shown.read / 1000, y: 0 }],
        },
      });
    });
  },
};
