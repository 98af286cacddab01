import { expect, test } from 'vitest';
import { groupNearDuplicates } from './near-duplicates.ts';

test('groups paraphrases that share most of their words, and nothing else', () => {
  const texts = [
    'Write a detailed tutorial on how to bake bread at home',
    'write a DETAILED tutorial on how to bake bread at home!',
    'Write a detailed tutorial on how to bake cakes at home',
    'Explain the rules of chess to a child',
  ];
  const [first, same, close, other] = groupNearDuplicates(texts);
  expect(same).toBe(first);
  expect(close).toBe(first);
  expect(other).not.toBe(first);
});

test('does not put a whole chain of small changes into one group', () => {
  const words = Array.from({ length: 60 }, (_, i) => `word${i}`);
  const texts = Array.from({ length: 50 }, (_, i) => words.slice(i, i + 10).join(' '));
  expect(new Set(groupNearDuplicates(texts)).size).toBeGreaterThan(5);
});
