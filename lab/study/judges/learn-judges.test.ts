/** What the figures say of judges that know prompts or sources instead of answers. */
import { expect, test } from 'vitest';
import type { Message } from '#shared/protocol/generate.ts';
import { createRandom } from '#training/data/random.ts';
import type { BlockName } from '../../probes/read-states.ts';
import type { JudgeData, JudgeSource } from './labelled-answers.ts';
import { JUDGES, learnJudges } from './learn-judges.ts';

const NAME: BlockName = '3.mean';
const promptOf = (key: string): Message[] => [{ role: 'user', content: `Why ${key}?` }];

type Made = { key: string; source: JudgeSource; truth: boolean; answer: number; prompt: number };

/** Judges of made-up states of two numbers: what one is after, and noise. */
function judged(rows: readonly Made[]) {
  const random = createRandom('learn');
  const noisy = (of: (row: Made) => number) =>
    new Map([[NAME, { width: 2, data: Float32Array.from(rows.flatMap((row) => [of(row), random.next() - 0.5])) }]]);
  const answers = rows.map(({ key, source, truth }, i) => ({
    ...{ prompt: promptOf(key), answer: `Answer ${i}.`, source, key },
    ...{ refuses: truth, harmful: truth },
  }));
  const side = { source: 'pku' as const, key: rows[0]!.key };
  const data: JudgeData = { answers, pairs: [{ trait: 'helpful', more: 0, less: 1, ...side }] };
  // Pairs in every fold.
  data.pairs.push(...rows.map(({ key, source }, i) => ({ trait: 'helpful' as const, more: i, less: i, source, key })));
  return learnJudges(data, {
    states: { places: rows.map((_, i) => i), blocks: noisy(({ answer }) => answer) },
    prompts: noisy((row) => row.prompt),
    blocks: [NAME],
    recipe: { ...JUDGES, steps: 60, learningRate: 0.05, layers: () => [3], poolings: ['mean'] },
    threads: 1,
  });
}
/** Sixty prompts with two answers each. */
const made = (of: (prompt: number, second: boolean) => Omit<Made, 'key'>): Made[] =>
  Array.from({ length: 120 }, (_, i) => ({ key: `k${i >> 1}`, ...of(i >> 1, i % 2 === 1) }));

test('a judge that reads the answer is good within a prompt, where the prompt tells nothing', async () => {
  const rows = made((_, second) => ({ source: 'world', truth: second, answer: second ? 1 : -1, prompt: 0 }));
  const { figures } = (await judged(rows)).harmful;
  expect(figures['area under ROC within such a prompt']).toBe(1);
  expect(figures['prompts with both kinds of answers']).toBe(60);
  expect(Math.abs(figures['area under ROC by the prompt alone']! - 0.5)).toBeLessThan(0.2);
  expect(figures['accuracy, %']).toBe(100);
});

test('a judge that knows the prompt alone is shown as one', async () => {
  const rows = made((number, second) => {
    const likely = number % 2 === 0;
    // One prompt in ten has both kinds of answers.
    const truth = number % 10 === 0 ? second : likely;
    return { source: 'world', truth, answer: likely ? 1 : -1, prompt: likely ? 1 : -1 };
  });
  const { figures } = (await judged(rows)).harmful;
  expect(figures['area under ROC']).toBeGreaterThan(0.85);
  expect(figures['area under ROC by the prompt alone']).toBeGreaterThan(0.85);
  expect(figures['area under ROC within such a prompt']).toBeLessThan(0.8);
});

test('a judge that knows one source only is shown as one by another', async () => {
  const rows = made((number, second) => {
    const [source, sign] = number % 4 === 0 ? (['diasafety', -1] as const) : (['world', 1] as const);
    return { source, truth: second, answer: second ? sign : -sign, prompt: 0 };
  });
  const { figures } = (await judged(rows)).harmful;
  expect(figures['DiaSafety (30), not learned from: accuracy, %']).toBe(0);
  expect(figures['DiaSafety (30), not learned from: area under ROC']).toBe(0);
});
