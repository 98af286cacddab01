import fc from 'fast-check';
import { expect, test } from 'vitest';
import { collapseSpaces } from './normalize.ts';
import { joinLetters } from './spaced-letters.ts';
import { EVERYDAY_WORDS, everydayLexicon } from './testing/everyday-lexicon.ts';

const join = (text: string) => collapseSpaces(joinLetters(text, everydayLexicon));

test.each([
  ['h o w   t o   b a k e', 'how to bake'],
  ["g e t  o n  m y  d o g ' s  w i f i", "get on my dog's wifi"],
  ["g e t  o n  m y  d o g's wifi", "get on my dog's wifi"],
  ['b-a-k-e it', 'bake it'],
  ['b.a*k~e', 'bake'],
  ['h.o.w t.o b.a.k.e', 'how to bake'],
  ['h-o-w d-o i b-a-k-e a c-a-k-e?', 'how do i bake a cake?'],
  ['h o w d o i b a k e b r e a d ?', 'how do i bake bread ?'],
  ['h - o - w - d - o - i - b - a - k - e', 'how do i bake'],
  ['h\no\nw\n\nt\no\n\nb\na\nk\ne', 'how to bake'],
  ['how to bake'.split('').join('        '), 'how to bake'],
  ['h | o | w | t | o | b | a | k | e', 'how to bake'],
  ['h->o->w->t->o->b->a->k->e', 'how to bake'],
  ['please: h o w  d o  i  b a k e, thanks', 'please: how do i bake, thanks'],
])('reads %j as %j', (text, expected) => {
  expect(join(text)).toBe(expected);
});

test.each(['i am a cat', 'e.g. this', 'a - b', 'x = y + z', 'for (i = 0; i < n; i++)', 'is a b or i better'])(
  'joins nothing in %j',
  (text) => {
    expect(joinLetters(text, everydayLexicon)).toBe(text);
  },
);

test('restores any sentence that was spaced out with longer gaps between its words', () => {
  const sentence = fc.array(fc.constantFrom(...EVERYDAY_WORDS), { minLength: 3, maxLength: 12 });
  const gaps = fc.constantFrom([' ', '  '], [' ', '   '], ['.', ' '], ['-', '  '], ['\n', '\n\n'], [' ', ' / ']);
  fc.assert(
    fc.property(sentence, gaps, (words, [inside, between]) => {
      const letters = words.map((word) => [...word].join(inside)).join(between);
      // If gaps between words are as common as gaps inside words, nobody can tell them apart.
      fc.pre(words.join('').length > 2 * words.length);
      expect(join(letters).replaceAll('/ ', '')).toBe(words.join(' '));
    }),
  );
});
