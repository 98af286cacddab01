import { expect, test, vi } from 'vitest';
import type { PairRows } from '#training/data/encode-pairs.ts';
import type { Scorer } from '#training/stages/scorer.ts';
import { LETTERS } from '#training/testing/letter-tokenizer.ts';
import type { Candidate } from './candidates.ts';
import type { AnswersRow } from './own-answers.ts';
import { dualOfAnswers, dualOfLabelled, type JudgedPrompt, judgeAnswers } from './rank-answers.ts';

const origin = {
  source: 'plimsoll-everyday',
  licence: 'Apache-2.0',
  key: 'k',
  part: 'train',
  stratum: 'everyday',
} as const;
const asked = (content: string, ...texts: string[]): AnswersRow => ({
  ...origin,
  prompt: [{ role: 'user', content }],
  answers: texts.map((text) => ({ text, finish: 'stop', tokens: 1 })),
  drawn: 'x',
});

/** Scores a row by the sum of its tokens, and counts the rows it saw. */
function scorer(kind: 'reward' | 'cost') {
  const score = vi.fn(async (pairs: readonly PairRows[]) => {
    const sum = ({ ids }: PairRows['chosen']) => ids.reduce((a, b) => a + b, 0);
    return new Map(pairs.map(({ chosen, rejected }, i) => [i, [sum(chosen), sum(rejected)] as [number, number]]));
  });
  return { kind, score, release: vi.fn(async () => {}) } satisfies Scorer;
}

test('scores every different answer once, whatever the order of the lengths', async () => {
  const rows = [asked('p', 'ccc', 'a', 'ccc'), asked('qq', 'bb', 'a very long answer'), asked('r', 'dddd')];
  const [reward, cost] = [scorer('reward'), scorer('cost')];
  const judged = await judgeAnswers(rows, { reward, cost, tokenizer: LETTERS, maxRowTokens: 12 });
  const sum = (text: string) => [...text].reduce((total, letter) => total + letter.charCodeAt(0), 0);
  // The long answer does not fit, and the repeated one counts once.
  expect(judged.map(({ answers }) => answers.map(({ text }) => text))).toEqual([['ccc', 'a'], ['bb'], ['dddd']]);
  judged.forEach(({ prompt, answers }) => {
    for (const { text, reward } of answers) expect(reward).toBe(sum(prompt[0]!.content + text));
  });
  expect(cost.score.mock.calls[0]![0]).toHaveLength(2);
  expect(reward.release.mock.invocationCallOrder[0]).toBeLessThan(cost.score.mock.invocationCallOrder[0]!);
  expect(cost.release).toHaveBeenCalled();
});

const judged = (...answers: [reward: number, cost: number][]): JudgedPrompt => ({
  prompt: [{ role: 'user', content: 'How?' }],
  source: 'plimsoll-everyday',
  key: 'how',
  part: 'train',
  stratum: 'everyday',
  answers: answers.map(([reward, cost], i) => ({ text: `answer ${i}`, reward, cost })),
});
const corrected = { definition: 'corrected', pairsPerPrompt: 2 } as const;

test('takes the clearest pairs, and every answer at most once', () => {
  const { dual } = dualOfAnswers([judged([3, -1], [0, -1], [2, -1], [0.5, -1])], corrected);
  expect(dual.map(({ responses, better }) => [responses, better])).toEqual([
    [['answer 0', 'answer 1'], 0],
    [['answer 2', 'answer 3'], 0],
  ]);
  expect(dualOfAnswers([judged([3, -1], [0, -1], [2, -1])], { ...corrected, pairsPerPrompt: 1 }).dual).toHaveLength(1);
});

test('a safe answer beats an unsafe one that the reward model prefers', () => {
  const { dual } = dualOfAnswers([judged([5, 2], [1, -2])], corrected);
  expect(dual[0]).toMatchObject({
    better: 1,
    safer: 1,
    safe: [false, true],
    family: 'own',
    promptSource: 'plimsoll-everyday',
  });
});

test('counts what the definition leaves out', () => {
  const { dual, leftOut } = dualOfAnswers([judged([5, 2], [1, 2]), judged([1, -1], [1, -1])], corrected);
  expect(dual).toEqual([]);
  expect(leftOut).toEqual({ 'both answers are unsafe': 1, 'neither answer is more helpful': 1 });
});

test('labelled pairs are judged by their flags, and pairs without flags are left out', () => {
  const pair = (changes: Partial<Candidate>): Candidate => ({
    ...origin,
    prompt: [],
    responses: ['a', 'b'],
    better: 0,
    safer: null,
    safe: [true, true],
    family: 'world',
    ...changes,
  });
  const pairs = [pair({}), pair({ safe: [false, true] }), pair({ safe: [false, false] }), pair({ safe: [null, true] })];
  expect(dualOfLabelled(pairs, 'corrected').map(({ better }) => better)).toEqual([0, 1]);
});
