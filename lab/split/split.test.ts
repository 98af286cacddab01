import { describe, expect, test } from 'vitest';
import { everydayPrompts } from '../smollm2/everyday.ts';
import { loadTopics } from '../world/load-topics.ts';
import { PARTS, splitOf, textKey, topicKey } from './split.ts';

test('the part of a prompt, a behaviour or a topic never changes', () => {
  // Heads, experts, probes and judges that were trained on different days count on this.
  const words = ['How long can cooked rice stay in the fridge?', '  how LONG can cooked rice stay in the fridge'];
  expect(words.map((text) => splitOf(textKey(text)))).toEqual(['judge', 'judge']);
  const keys = ['air-rifle', 'anger', 'angle-grinder', 'baby-food', 'bleach-cleaning', 'blocked-drains'].map(topicKey);
  expect(keys.map(splitOf)).toEqual(['train', 'train', 'dev', 'test', 'train', 'train']);
});

describe('every part gets about its share of', () => {
  test.each<[string, string[]]>([
    ['topics', loadTopics({ edition: 'whole' }).map(({ id }) => topicKey(id))],
    ['everyday prompts', everydayPrompts().map(textKey)],
    ['numbered keys', Array.from({ length: 5000 }, (_, i) => `key ${i}`)],
  ])('%s', (_, keys) => {
    const share = (part: string) => keys.filter((key) => splitOf(key) === part).length / keys.length;
    // Three standard deviations of the smallest set, 198 topics.
    const tolerance = 0.11;
    expect(PARTS.map(share).reduce((a, b) => a + b)).toBeCloseTo(1);
    expect(Math.abs(share('train') - 0.58)).toBeLessThan(tolerance);
    expect(Math.abs(share('judge') - 0.12)).toBeLessThan(tolerance);
    expect(Math.abs(share('dev') - 0.1)).toBeLessThan(tolerance);
    expect(Math.abs(share('test') - 0.2)).toBeLessThan(tolerance);
  });
});
