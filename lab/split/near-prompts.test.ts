import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nearStricter, type PlacedText } from './near-prompts.ts';
import { PARTS, type Part } from './split.ts';

const row = (text: string, part: Part): PlacedText => ({ text, part });

describe('leaves out', () => {
  test.each<[string, PlacedText[], boolean[]]>([
    [
      'a training prompt that a test prompt repeats with one word more',
      [row('How do I bake bread?', 'train'), row('How do I bake bread at home?', 'test')],
      [true, false],
    ],
    [
      'a training prompt near one of the judges, and a dev prompt near one of the test',
      [
        row('Write a poem about the cold sea', 'train'),
        row('Write a poem about the warm sea', 'judge'),
        row('Explain how a lock works', 'dev'),
        row('explain how a lock works!', 'test'),
      ],
      [true, false, true, false],
    ],
    [
      'nothing inside a part, and nothing that shares only a frame',
      [
        row('How do I bake bread at home?', 'train'),
        row('How do I bake bread?', 'train'),
        row('How do I mend a broken window frame?', 'test'),
      ],
      [false, false, false],
    ],
    [
      'one word that is in two parts',
      [row('Hi', 'train'), row('hi!', 'test'), row('Hello', 'train')],
      [true, false, false],
    ],
    [
      'no prompt twice in the stricter part',
      [row('What is tea?', 'test'), row('What is tea?', 'test')],
      [false, false],
    ],
  ])('%s', (_, rows, near) => {
    expect(nearStricter(rows)).toEqual(near);
  });
});

/** The slow obvious version: every row against every row. */
function slowNear(rows: readonly PlacedText[]): boolean[] {
  const strictest: Part[] = ['test', 'dev', 'judge', 'train'];
  const pairsOf = (text: string) => {
    const words = text.split(' ');
    return words.length === 1 ? words : words.slice(1).map((word, i) => `${words[i]} ${word}`);
  };
  return rows.map((row) =>
    rows.some((other) => {
      if (strictest.indexOf(other.part) >= strictest.indexOf(row.part)) return false;
      const [a, b] = [new Set(pairsOf(row.text)), new Set(pairsOf(other.text))];
      const shared = [...a].filter((pair) => b.has(pair)).length;
      return shared / (a.size + b.size - shared) >= 0.5;
    }),
  );
}

test('agrees with comparing every prompt with every other', () => {
  const word = fc.constantFrom('red', 'blue', 'green', 'old');
  const text = fc.array(word, { minLength: 1, maxLength: 6 }).map((words) => words.join(' '));
  const rows = fc.array(fc.record({ text, part: fc.constantFrom(...PARTS) }), { maxLength: 30 });
  fc.assert(
    fc.property(rows, (placed) => {
      expect(nearStricter(placed)).toEqual(slowNear(placed));
    }),
  );
});
