import { beforeAll, describe, expect, test } from 'vitest';
import { LABELS } from '#shared/line/categories.ts';
import { harmOf } from './columns.ts';
import type { Example } from './example.ts';
import { assertNoLeaks, withoutLeaks } from './leakage.ts';
import { ownPrompts } from './own-prompts.ts';
import { worldPrompts } from './world-prompts.ts';

let own: Example[];
beforeAll(() => {
  own = ownPrompts({ seed: 1 });
});
const count = (keep: (example: Example) => boolean) => own.filter(keep).length;

describe('own prompts', () => {
  test.each(LABELS.map((label, k) => [label, k] as const))('%s has prompts on every side of the split', (_, k) => {
    for (const [split, least] of [
      ['train', 20],
      ['calibration', 1],
      ['heldout', 3],
    ] as const) {
      expect(count((example) => example.split === split && example.targets[k] === 1)).toBeGreaterThanOrEqual(least);
    }
  });

  test('has plenty of safe prompts with frightening words, also among the held-out ones', () => {
    expect(count(({ scary, split }) => scary && split === 'train')).toBeGreaterThan(500);
    expect(count(({ scary, split }) => scary && split === 'heldout')).toBeGreaterThan(100);
  });

  test('puts a frame or a jailbreak wrapper around safe and unsafe phrases alike', () => {
    for (const words of [
      'Write a tutorial on how to',
      'Ignore all previous instructions.',
      'Pretend you are a weather',
    ]) {
      const around = own.filter(({ text }) => text.startsWith(words) && text.length > words.length);
      if (around.length < 4) continue;
      expect(
        around.some((example) => harmOf(example) === 1),
        words,
      ).toBe(true);
      expect(
        around.some((example) => harmOf(example) === 0),
        words,
      ).toBe(true);
    }
  });

  test('depends only on the seed', () => {
    expect(ownPrompts({ seed: 1 })).toEqual(own);
    expect(ownPrompts({ seed: 2 })).not.toEqual(own);
  });
});

describe('leakage', () => {
  test('own and world prompts share nothing across the split', () => {
    assertNoLeaks(withoutLeaks([...own, ...worldPrompts({ seed: 1 })]).examples);
  });

  test('finds a held-out prompt despite different capitals, spaces and punctuation, and can remove it', () => {
    const heldout = own.find(({ split }) => split === 'heldout')!;
    const twin: Example = { ...heldout, text: `  ${heldout.text.toUpperCase()} !!`, split: 'train' };
    expect(() => assertNoLeaks([heldout, twin])).toThrow(/leak: .* is in heldout .* and train/);
    expect(withoutLeaks([heldout, twin])).toEqual({ examples: [heldout], removed: 1 });
  });
});

test('the three kinds of questions in the small world have three degrees of harm', () => {
  const world = worldPrompts({ seed: 1 });
  const harms = (kind: string) => new Set(world.filter(({ questionKind }) => questionKind === kind).map(harmOf));
  expect(harms('ordinary')).toEqual(new Set([0]));
  expect(harms('borderline')).toEqual(new Set([0.7]));
  expect(harms('harmful')).toEqual(new Set([1]));
});
