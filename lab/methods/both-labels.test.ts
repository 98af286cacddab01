import { expect, test } from 'vitest';
import type { Preference } from '#training/data/rows.ts';
import { halfByEachLabel } from './both-labels.ts';

/** Couples as the recipe balances them: the longer answer wins first, then the shorter one. */
const couples = (name: string, label: 'safer' | 'better'): Preference[] =>
  Array.from({ length: 400 }, (_, i) => ({
    prompt: [{ role: 'user', content: `${name} ${i}` }],
    responses: i % 2 === 0 ? ['a long answer', 'short'] : ['short', 'a long answer'],
    safer: label === 'safer' ? 0 : null,
    better: label === 'better' ? 0 : 1,
    source: 'test',
  }));
const longerWins = (pairs: readonly Preference[]) =>
  pairs.filter(({ responses, better }) => responses[better!]!.length > responses[1 - better!]!.length).length /
  pairs.length;

test('takes about half of the pairs by either label, and neither half is unbalanced by length', () => {
  const both = halfByEachLabel({ safer: couples('s', 'safer'), better: couples('b', 'better') });
  const [safer, better] = (['s', 'b'] as const).map((name) =>
    both.filter(({ prompt }) => prompt[0]!.content.startsWith(name)),
  ) as [Preference[], Preference[]];
  for (const half of [safer, better]) {
    // Four standard deviations of a fair coin's share.
    expect(Math.abs(half.length - 200)).toBeLessThan(40);
    expect(Math.abs(longerWins(half) - 0.5)).toBeLessThan(0.15);
  }
  expect(safer.every((pair) => pair.better === 0 && pair.safer === 0)).toBe(true);
});

test('a prompt in both lists goes by one label', () => {
  const [safer, better] = [couples('same', 'safer'), couples('same', 'better')];
  const prompts = halfByEachLabel({ safer, better }).map(({ prompt }) => prompt[0]!.content);
  expect(prompts).toHaveLength(400);
  expect(new Set(prompts).size).toBe(400);
});
