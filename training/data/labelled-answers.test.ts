import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { pairAnswers } from './labelled-answers.ts';
import type { LabelledAnswer } from './rows.ts';
import type { SkipReason } from './skips.ts';

const row = (prompt: string, answer: string, safe: boolean): LabelledAnswer => ({
  prompt: [{ role: 'user', content: prompt }],
  answer,
  safe,
  source: 'a test',
});
const Answers = fc.array(
  fc
    .tuple(fc.constantFrom('p', 'q', 'P'), fc.constantFrom('a', 'b', 'c', 'd', 'e'), fc.boolean())
    .map((parts) => row(...parts)),
  { maxLength: 40 },
);

describe('pairAnswers', () => {
  test('pairs a safe and an unsafe answer to the same prompt, with the safe one as the safer', () => {
    const [pair, ...others] = pairAnswers([row('p', 'yes', true), row('q', 'well', false), row('p', 'no', false)]);
    expect(others).toEqual([]);
    expect(pair!.responses.toSorted()).toEqual(['no', 'yes']);
    expect(pair!.responses[pair!.safer!]).toBe('yes');
    expect(pair!.safe![pair!.safer!]).toBe(true);
    expect(pair!.better).toBeNull();
  });

  test('uses an answer with several labels once, by majority, and leaves it out if they tie', () => {
    const onSkip = vi.fn<(reason: SkipReason) => void>();
    const votes = [true, false, true].map((safe) => row('p', 'often', safe));
    const torn = [true, false].map((safe) => row('p', 'torn', safe));
    const pairs = pairAnswers([...votes, ...torn, row('p', 'bad', false), row('p', 'worse', false)], { onSkip });
    expect(pairs).toHaveLength(1);
    expect(pairs[0]!.responses[pairs[0]!.safer!]).toBe('often');
    expect(onSkip.mock.calls.flat()).toEqual(['contradicted', 'noRival']);
  });

  test('puts every answer into at most one pair and counts all the others', () => {
    fc.assert(
      fc.property(Answers, (answers) => {
        let skipped = 0;
        const pairs = pairAnswers(answers, { onSkip: () => void skipped++ });
        const key = (prompt: string, answer: string) => `${prompt} ${answer}`;
        const used = pairs.flatMap(({ prompt, responses }) =>
          responses.map((answer) => key(prompt[0]!.content, answer)),
        );
        expect(new Set(used).size).toBe(used.length);
        const distinct = new Set(answers.map(({ prompt, answer }) => key(prompt[0]!.content, answer)));
        expect(used.length + skipped).toBe(distinct.size);
      }),
    );
  });

  test('puts the safe answer first in about half of the pairs', () => {
    const answers = Array.from({ length: 500 }, (_, i) => [row(`${i}`, `a${i}`, true), row(`${i}`, `b${i}`, false)]);
    const first = pairAnswers(answers.flat()).filter(({ safer }) => safer === 0).length;
    // The count is binomial with 500 draws. Its standard deviation is 11, so this allows 5 of them.
    expect(Math.abs(first - 250)).toBeLessThan(56);
  });
});
