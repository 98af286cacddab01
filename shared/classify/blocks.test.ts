import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BLOCK_CHARS, blocksOf, MOST_BLOCK_CHARS } from './blocks.ts';
import { HARD_TEXTS } from './testing/hard-texts.ts';

const SENTENCE = 'The allotment behind the old railway line has forty plots and a waiting list of three years. ';

/**
 * Checks that the blocks cover the text in order, with nothing left out between two of them.
 * Returns the blocks.
 */
function check(text: string): string[] {
  const blocks = [...blocksOf(text)];
  let end = 0;
  for (const block of blocks) {
    expect(block.length).toBeLessThanOrEqual(MOST_BLOCK_CHARS);
    // A block does not say where it begins. We take the last possible place, up to the end of the
    // block before.
    const start = text.lastIndexOf(block, end);
    expect(start).toBeGreaterThanOrEqual(0);
    expect(start + block.length).toBeGreaterThan(end);
    end = start + block.length;
  }
  expect(end).toBe(text.length);
  expect(blocks.length).toBeLessThanOrEqual(1 + (1.5 * text.length) / (BLOCK_CHARS / 2));
  return blocks;
}

test('a short text is one block, and an empty text has none', () => {
  expect(check('')).toEqual([]);
  expect(check(SENTENCE)).toEqual([SENTENCE]);
});

test('a block ends at the end of a sentence, a line or a word', () => {
  for (const block of check(SENTENCE.repeat(100))) expect(block).toMatch(/^The .* years\. $/);
  const lines = Array.from({ length: 900 }, (_, i) => `line ${i}`).join('\n');
  for (const block of check(lines)) expect(block).toMatch(/^line \d+\n.*line \d+\n?$/s);
  const words = Array.from({ length: 2_000 }, (_, i) => `word${i}`).join(' ');
  for (const block of check(words)) expect(block).toMatch(/^word\d+ .*word\d+ ?$/s);
});

test('twenty words that cross the end of a block are whole in one of the two blocks', () => {
  const words = Array.from({ length: 3_000 }, (_, i) => `word${i}`);
  const blocks = check(words.join(' '));
  for (let i = 0; i + 20 < words.length; i++) {
    const some = words.slice(i, i + 20).join(' ');
    expect(
      blocks.some((block) => block.includes(some)),
      some,
    ).toBe(true);
  }
});

describe('an encoded run stays whole or is cut where its pieces decode', () => {
  const message = Array.from({ length: 120 }, (_, i) => `${i} ${SENTENCE}`).join('');
  const decodes = (blocks: string[], decode: (code: string) => string) => {
    const text = blocks.map((block) => decode(block.replace(/\s/g, '')));
    // No piece is noise, and together they are the message.
    for (const piece of text) expect(message).toContain(piece);
    expect(text.join('').length).toBeGreaterThanOrEqual(message.length);
  };

  test('base64, base64 in base64, and base64 in lines', () => {
    decodes(check(btoa(message)), atob);
    decodes(check(btoa(btoa(message))), (code) => atob(atob(code)));
    decodes(check(btoa(message).replace(/.{76}/g, '$&\n')), atob);
  });

  test('hex and percent escapes', () => {
    const codes = Array.from(message, (letter) => letter.charCodeAt(0).toString(16));
    const fromHex = (code: string) =>
      String.fromCharCode(...(code.match(/[0-9a-f]{2}/g) ?? []).map((pair) => Number.parseInt(pair, 16)));
    decodes(check(codes.join('')), fromHex);
    decodes(check(codes.map((code) => `%${code}`).join('')), (code) => decodeURIComponent(code));
  });

  test('does not cut a run that fits', () => {
    const run = btoa(SENTENCE.repeat(8));
    for (let before = 1_000; before < 4_000; before += 97) {
      const blocks = check(`${'word '.repeat(before / 5)}${run} and more ${SENTENCE.repeat(40)}`);
      expect(
        blocks.some((block) => block.includes(run)),
        `${before} before`,
      ).toBe(true);
    }
  });
});

test('the blocks cover any text, and the hard texts have few blocks', () => {
  const part = fc.constantFrom('a', 'word ', '\n', SENTENCE, btoa(SENTENCE), '\u{1f600}', 'x'.repeat(900), '%61', ' ');
  fc.assert(
    fc.property(fc.array(part, { maxLength: 200 }), (parts) => void check(parts.join('').slice(0, 9_000))),
    {
      numRuns: 50,
    },
  );
  for (const [, text] of HARD_TEXTS) {
    const all = [...blocksOf(text.slice(0, 64_000))];
    expect(all.length).toBeLessThan(80);
  }
});
