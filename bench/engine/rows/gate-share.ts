/**
 * The part of a step that is not the model: gate, sampling, text, scheduler, messages. The engine
 * runs over experts that note how long their steps take; the rest of a step is everything else
 * (share-program.ts). So this is an upper bound for gate and sampling. What the graph itself does
 * for the gate would count as the model's.
 *
 * Three vocabularies: the demo's 4,096, whose model is very small, SmolLM2's 49,152, and 151,936 on
 * random weights in Qwen2.5-0.5B's shape. Two experts, f32, temperature 0.7, top-p 0.95.
 *
 * Written down before measuring (16 and 39 % were found at 49,152): 3 to 6 % at 49,152 and 151,936,
 * and 10 % in the demo, where a step has less than two milliseconds.
 */
import path from 'node:path';
import { loadBundleHead } from '#gpu-backend/model/load-bundle.ts';
import { smolLm2Gguf } from '../../../test/smollm2-gguf.ts';
import { alternate, median } from '../../harness/measure.ts';
import { withContenders } from '../contenders.ts';
import { randomModel } from '../models.ts';
import { storyPrompts } from '../prompts.ts';
import { QWEN_HALF_B } from '../random-gguf.ts';
import { type Figure, type Row, result, type Setting, type Table } from '../row.ts';

const DEMO = path.join(import.meta.dirname, '../../../models/demo');
const CONTEXT = 1024;
const ANSWERS = [1, 8] as const;

export const gateShareRow: Row = {
  title: 'gate and sampling in a step',
  async run(setting) {
    const { rounds, tokens, threads } = setting;
    const figures: Figure[] = [];
    const tables: Table[] = [];
    for (const bundle of await bundles(setting)) {
      const head = await loadBundleHead(bundle);
      const vocab = head.config.vocab_size.toLocaleString('en');
      const prompts = storyPrompts(head, Math.max(...ANSWERS));
      await withContenders(async (contenders) => {
        const engine = await contenders.share(bundle, { threads, context: CONTEXT });
        const shares = new Map<number, number[]>(ANSWERS.map((answers) => [answers, []]));
        const measured = await alternate(
          ANSWERS.map((answers) => ({
            name: `${vocab} tokens, ${answers} at once`,
            run: async () => {
              const asked = { prompts: prompts.slice(0, answers), tokens, draw: 'sampled' } as const;
              const { total, inExperts } = await engine.ask('answers', { experts: 2, ...asked });
              shares.get(answers)!.push((total - inExperts) / total);
              return total - inExperts;
            },
          })),
          { rounds },
        );
        tables.push({ title: `a step beside the model, vocabulary of ${vocab}`, unit: 'ms', measured });
        for (const answers of ANSWERS) {
          figures.push({
            name: `gate, sampling and scheduler, vocabulary of ${vocab}, ${answers} at once`,
            against: 'a step',
            // The first one warmed up.
            ratio: median(shares.get(answers)!.slice(1)),
            reach: 0.05,
            expected: head.config.vocab_size < 10_000 ? '0.10' : '0.03-0.06',
            better: 'lower',
          });
        }
      });
    }
    return result({ figures, tables });
  },
};

async function bundles({ model, dir }: Setting): Promise<string[]> {
  const tokenizer = await smolLm2Gguf();
  // Whoever has the model above has this file.
  if ('missing' in tokenizer) throw new Error(tokenizer.missing);
  const options = { shape: QWEN_HALF_B, tokenizerOf: tokenizer.file };
  const wide = randomModel('Qwen2.5-0.5B’s shape', path.join(dir, 'wide'), options);
  return [DEMO, await model.adapted('f32'), await wide.adapted('f32')];
}
