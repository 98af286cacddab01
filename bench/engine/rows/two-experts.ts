/**
 * What the second expert costs in the whole engine: a token of a two-expert answer against a token
 * of the safety expert alone, both drawn by the gate (temperature 0.7, top-p 0.95), under LoRA
 * adapters of rank 16.
 *
 * Written down before measuring (SmolLM2-135M, f32 without the gate had 1.12 and 1.55): with a fast
 * gate 1.10 to 1.15 and 1.45 to 1.55 in f32; 1.3 to 1.5 in int4, because there a second row costs
 * arithmetic and not memory.
 */
import { alternate, medianRatio } from '../../harness/measure.ts';
import { withContenders } from '../contenders.ts';
import type { WeightKind } from '../models.ts';
import { storyPrompts } from '../prompts.ts';
import { type Figure, type Row, result, type Table } from '../row.ts';
import { msPerStep } from '../token-times.ts';

const CONTEXT = 1024;
const ANSWERS = [1, 8] as const;

const REACH: Record<WeightKind, Record<(typeof ANSWERS)[number], { reach: number | null; expected: string }>> = {
  f32: { 1: { reach: 1.1, expected: '1.10-1.15' }, 8: { reach: 1.45, expected: '1.45-1.55' } },
  int4: { 1: { reach: 1.4, expected: '1.3-1.5' }, 8: { reach: null, expected: '1.6-1.9' } },
};

export const twoExpertsRow: Row = {
  title: 'two experts against one',
  async run({ model, rounds, tokens, threads }) {
    const figures: Figure[] = [];
    const tables: Table[] = [];
    const prompts = storyPrompts(await model.head(), Math.max(...ANSWERS));
    for (const kind of ['f32', 'int4'] as const) {
      await withContenders(async (contenders) => {
        const rows = 2 * prompts.length;
        const engine = await contenders.engine(await model.adapted(kind), { threads, context: CONTEXT, rows });
        const variant = (answers: number, experts: 1 | 2) => ({
          name: `${kind}, ${answers} at once, ${experts === 1 ? 'one expert' : 'two experts'}`,
          run: async () => {
            const asked = { prompts: prompts.slice(0, answers), tokens, draw: 'sampled' as const };
            return msPerStep((await engine.ask('answers', { experts, ...asked })).times);
          },
        });
        const pairs = ANSWERS.map((answers) => [variant(answers, 1), variant(answers, 2)] as const);
        const measured = await alternate(pairs.flat(), { rounds });
        tables.push({ title: `an answer's token, whole engine, ${kind}`, unit: 'ms a step', measured });
        ANSWERS.forEach((answers, i) => {
          figures.push({
            name: `${kind}, ${answers} at once: two experts`,
            against: 'one expert',
            ratio: medianRatio(measured[2 * i + 1]!, measured[2 * i]!),
            better: 'lower',
            ...REACH[kind][answers],
          });
        });
      });
    }
    return result({ figures, tables });
  },
};
