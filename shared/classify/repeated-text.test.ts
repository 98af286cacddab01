/**
 * Text that repeats itself and then breaks the rule. On such text a regular expression that can
 * read the same letters in several ways tries all of them, and one prompt would stop an edge for
 * minutes. The clock stops each reading by force: a loop within one expression lets nothing else
 * run, not even the test runner's own limit.
 */
import { readFileSync } from 'node:fs';
import { createContext, runInContext } from 'node:vm';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { createClassifier } from './classify.ts';

const file = new Uint8Array(readFileSync(new URL('../../models/classifier/classifier.bin', import.meta.url)));
const { classify } = createClassifier(file.buffer);
/** A text of this length takes some milliseconds. */
const HANGS_MS = 60_000;

const context = createContext({ classify, text: '' });
function read(text: string) {
  context.text = text;
  // The cast says what `classify` returns: the type is lost on the way through the context.
  return runInContext('classify(text)', context, { timeout: HANGS_MS }) as ReturnType<typeof classify>;
}

/** Pieces of what the classifier looks for: codes, signs in place of letters, words, lists. */
const piece = fc.oneof(
  fc.constantFrom('0', '1', '01', '7', '0x', '0x61', '61 ', '%41', '\\x41', '&#65;', 'A', 'a', 'Aa1', '=', '_', '-'),
  fc.constantFrom(
    ' ',
    '\n',
    '.',
    ',',
    ';',
    '!',
    "'",
    '|',
    '* ',
    '\n-',
    'a.',
    '. ',
    'a-',
    'w i ',
    '\u{e0061}',
    '\u200b',
    'é',
  ),
  fc.constantFrom('h0w ', 'n0t', 'QGSIDCMF', 'the ', 'bread', 'dab '),
  fc.string({ minLength: 1, maxLength: 4 }),
  fc.string({ minLength: 1, maxLength: 2, unit: 'grapheme' }),
);
const run = fc.tuple(piece, fc.nat({ max: 600 })).map(([piece, times]) => piece.repeat(times).slice(0, 900));
const text = fc.array(fc.oneof(run, piece), { minLength: 1, maxLength: 5 }).map((parts) => parts.join(''));

test('the classifier reads any text that repeats itself', () => {
  fc.assert(
    fc.property(text, (text) => {
      for (const signal of Object.values(read(text))) expect(signal).toBeGreaterThanOrEqual(0);
    }),
    {
      examples: [[`${'1'.repeat(885)}n6${'1'.repeat(110)}`], [`${'0'.repeat(900)}2`], [`${'\n'.repeat(900)},`]],
      numRuns: 300,
    },
  );
});
