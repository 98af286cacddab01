import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { Automaton } from './automaton.ts';
import { compileGrammar } from './compile-grammar.ts';
import type { Grammar } from './grammar.ts';
import { acceptsText } from './testing/accepts-text.ts';
import { Work } from './work.ts';

const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 4 });

/** Free text with calls: after each word comes its number. */
const callsAfter = (words: readonly string[]): Grammar => ({
  type: 'triggered',
  triggers: words.map((begin, i) => ({ begin, body: { type: 'literal', text: String(i) } })),
  ...{ text: true, between: '', least: 0, most: null },
});

/** By the definition: at the first place where words end, one of these, and its number. */
function follows(text: string, words: readonly string[]): boolean {
  for (let end = 1; end <= text.length; end++) {
    const ended = [...words.keys()].filter((i) => text.slice(0, end).endsWith(words[i]!));
    if (ended.length === 0) continue;
    const rest = text.slice(end);
    return ended.some((i) => rest.startsWith(String(i)) && follows(rest.slice(String(i).length), words));
  }
  return true;
}

test('a call begins where the first of the words ends, whatever other words it begins or ends with', () => {
  fc.assert(
    fc.property(
      fc.array(word, { minLength: 1, maxLength: 8 }),
      fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'c', '0', '1', '2', '3', 'x'), maxLength: 12 }), {
        minLength: 40,
        maxLength: 40,
      }),
      fc.infiniteStream(fc.nat()),
      (words, texts, choices) => {
        const automaton = new Automaton(compileGrammar(callsAfter(words)));
        // Texts that have calls, too: each word with a number of its own or another one.
        const made = texts.map((text) => {
          const i = choices.next().value! % words.length;
          return `${text}${words[i]}${choices.next().value! % 3 === 0 ? 0 : i}${text}`;
        });
        for (const text of [...texts, ...made]) {
          expect(acceptsText(automaton, text), `${JSON.stringify(words)}: ${text}`).toBe(follows(text, words));
        }
      },
    ),
  );
});

test('what many words cost grows with their number, not with its square', () => {
  const cost = (count: number) => {
    const work = new Work();
    const rule = compileGrammar(callsAfter(Array.from({ length: count }, (_, i) => `<call ${i}>`)), { work });
    const automaton = new Automaton(rule);
    expect(acceptsText(automaton, `Hello <call ${count - 1}>${count - 1} and <call 0>0`)).toBe(true);
    expect(acceptsText(automaton, `Hello <call ${count - 1}>0`)).toBe(false);
    return work.done + automaton.work;
  };
  expect(cost(256)).toBeLessThan(10 * cost(32));
});
