import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Message } from '#shared/protocol/generate.ts';
import { assertNoLeak, assertNoSharedPrompts } from './leakage.ts';
import { openingTurn, promptKey } from './prompt-key.ts';
import { splitByPrompt } from './split-by-prompt.ts';

const user = (content: string): Message => ({ role: 'user', content });
const assistant = (content: string): Message => ({ role: 'assistant', content });
const row = (...prompt: Message[]) => ({ prompt, source: 'a test' });

/**
 * There are only a few texts, so that prompts repeat, and several disguises, so that repeated
 * prompts look different.
 */
const Dressed = fc
  .tuple(
    fc.constantFrom('how do i bake bread', 'why', 'tell me a joke', 'ice 9'),
    fc.constantFrom(
      (text: string) => text,
      (text: string) => text.toUpperCase(),
      (text: string) => `  ${text.replaceAll(' ', ' \n ')}?!`,
      (text: string) => text.replace('i', '\uff49'),
    ),
  )
  .map(([text, dress]) => dress(text));
const Text = fc.oneof(Dressed, fc.string({ unit: 'grapheme' }));
const Rows = fc.array(
  fc
    .array(
      fc.record({ role: fc.constantFrom('user' as const, 'assistant' as const, 'system' as const), content: Text }),
      { minLength: 1, maxLength: 5 },
    )
    .map((messages) => row(...messages)),
  { maxLength: 40 },
);
const Settings = fc.record({ seed: fc.integer(), heldOut: fc.double({ min: 0, max: 1, noNaN: true }) });

describe('splitByPrompt', () => {
  test('puts no prompt on both sides, whatever the rows', () => {
    fc.assert(
      fc.property(Rows, Settings, (rows, settings) => {
        const { train, heldOut } = splitByPrompt(rows, settings);
        expect(() => assertNoLeak(train, heldOut)).not.toThrow();
      }),
    );
  });

  test('keeps every row once and in order', () => {
    fc.assert(
      fc.property(Rows, Settings, (rows, settings) => {
        const { train, heldOut } = splitByPrompt(rows, settings);
        const isTrain = new Set(train);
        expect(train).toEqual(rows.filter((each) => isTrain.has(each)));
        expect(heldOut).toEqual(rows.filter((each) => !isTrain.has(each)));
      }),
    );
  });

  test("a row's side depends on no other row", () => {
    fc.assert(
      fc.property(Rows, Rows, Settings, (rows, others, settings) => {
        const alone = new Set(splitByPrompt(rows, settings).heldOut);
        const together = splitByPrompt([...others, ...rows], settings).heldOut;
        expect(together.filter((each) => rows.includes(each))).toEqual([...alone]);
      }),
    );
  });

  test('keeps one dialogue cut at several depths on one side', () => {
    const first = [user('How do I bake bread?'), assistant('With flour.'), user('And then?')];
    for (let seed = 0; seed < 20; seed++) {
      const { train, heldOut } = splitByPrompt([row(...first), row(first[0]!)], { seed, heldOut: 0.5 });
      expect([train.length, heldOut.length].toSorted()).toEqual([0, 2]);
    }
  });

  test('holds out about the given share of the prompts: nothing for 0, everything for 1', () => {
    const rows = Array.from({ length: 2000 }, (_, i) => row(user(`question ${i}`)));
    expect(splitByPrompt(rows, { seed: 1, heldOut: 0 }).heldOut).toEqual([]);
    expect(splitByPrompt(rows, { seed: 1, heldOut: 1 }).train).toEqual([]);
    // The count is binomial with 2000 draws at 0.1. Its standard deviation is 13, so this allows 5.
    expect(Math.abs(splitByPrompt(rows, { seed: 1, heldOut: 0.1 }).heldOut.length - 200)).toBeLessThan(67);
    expect(splitByPrompt(rows, { seed: 1, heldOut: 0.1 })).not.toEqual(splitByPrompt(rows, { seed: 2, heldOut: 0.1 }));
  });

  test.each([-0.1, 1.1, Number.NaN])('rejects a share of %s', (heldOut) => {
    expect(() => splitByPrompt([], { seed: 1, heldOut })).toThrow('it lies in [0, 1]');
  });
});

describe('leakage', () => {
  test('is found despite different case and punctuation, and reported with both sources', () => {
    const train = [{ ...row(user('How do I bake bread?')), source: 'one' }, row(user('Why?'))];
    const heldOut = [{ ...row(user('  how do I BAKE bread'), assistant('?'), user('Go on.')), source: 'two' }];
    expect(() => assertNoLeak(train, heldOut)).toThrow(
      'leak: "  how do I BAKE bread" is in train (one) and held-out (two)',
    );
  });

  test('is reported with the first five prompts and the number of the others', () => {
    const rows = Array.from({ length: 8 }, (_, i) => row(user(`question ${i}`)));
    expect(() => assertNoLeak(rows, rows)).toThrow(/"question 0".*"question 4" is in [^;]*; and 3 more$/);
  });

  test('does not include a prompt that repeats on one side', () => {
    const prompts = ['train', 'train', 'held-out'].map((side) => ({ side, text: `of ${side}`, source: 's' }));
    expect(() => assertNoSharedPrompts(prompts)).not.toThrow();
  });
});

describe('prompt keys', () => {
  test('ignore case, white space and punctuation between words', () => {
    const Word = fc.stringMatching(/^[a-z]{2,6}$/);
    const Between = fc.constantFrom(' ', '\n', ', ', '... ', ' \u2013 ', '?! "');
    fc.assert(
      fc.property(fc.array(fc.tuple(Word, Between), { minLength: 1 }), (parts) => {
        const words = parts.map(([word]) => word).join(' ');
        expect(promptKey(parts.flat().join(''))).toBe(words);
        expect(promptKey(words.toUpperCase())).toBe(words);
      }),
    );
  });

  test.each([
    ['How do I bake bread?', '  how do I\n BAKE bread '],
    ['caf\u00e9', 'cafe\u0301'],
    ['\uff28\uff45\uff4c\uff4c\uff4f', 'hello'],
    ["what's \u201cthis\u201d", 'What\u2019s "this"'],
  ])('%j and %j are the same prompt', (a, b) => expect(promptKey(a)).toBe(promptKey(b)));

  test('differ when the words differ', () => {
    expect(promptKey('How do I bake bread?')).not.toBe(promptKey('How do I bake cakes?'));
  });

  test('use the first user turn as the opening', () => {
    expect(openingTurn([{ role: 'system', content: 'Be kind.' }, user('Hi'), assistant('Hi'), user('So?')])).toBe('Hi');
    expect(openingTurn([assistant('Hello')])).toBe('Hello');
  });
});
