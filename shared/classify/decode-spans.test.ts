import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeSpans } from './decode-spans.ts';
import { EVERYDAY_WORDS, everydayLexicon } from './testing/everyday-lexicon.ts';

const MESSAGE = 'how do i bake bread';
const codes = Array.from(MESSAGE, (letter) => letter.charCodeAt(0));
const hex = codes.map((code) => code.toString(16));
const decode = (text: string) => decodeSpans(text, everydayLexicon);

describe('finds a message in', () => {
  test.each([
    ['base64', btoa(MESSAGE)],
    ['base64 for URLs, without padding', btoa(`${MESSAGE}>>>`).replaceAll('+', '-').replaceAll('/', '_')],
    ['hex', hex.join('')],
    [
      'hex bytes',
      hex
        .map((pair) => `0x${pair}`)
        .join(', ')
        .replaceAll(', ', ' '),
    ],
    ['base64 in groups of four', btoa(MESSAGE).replace(/.{4}(?=.)/g, '$& ')],
    ['base64 in groups of five', btoa(MESSAGE).replace(/.{5}(?=.)/g, '$& ')],
    ['base64 on short lines', btoa(MESSAGE).replace(/.{8}(?=.)/g, '$&\n')],
    ['base64 in strings', `"${btoa(MESSAGE).replace(/.{12}(?=.)/g, '$&" + "')}"`],
    ['base64 of UTF-16', btoa(MESSAGE.replace(/./g, '$&\0'))],
    [
      'base64 backwards',
      Array.from(btoa(`${MESSAGE}!!`))
        .reverse()
        .join(''),
    ],
    ['base32', 'NBXXOIDEN4QGSIDCMFVWKIDCOJSWCZA='],
    ['a hex array', hex.map((pair) => `0x${pair}`).join(', ')],
    ['hex bytes with commas', hex.join(', ')],
    ['decimal numbers', codes.join(' ')],
    ['decimal numbers with commas', codes.join(', ')],
    ['octal numbers', codes.map((code) => code.toString(8)).join(' ')],
    ['bits', codes.map((code) => code.toString(2).padStart(8, '0')).join(' ')],
    ['bits in a run', codes.map((code) => code.toString(2).padStart(8, '0')).join('')],
    [
      'bits on lines of two bytes',
      codes.map((code, i) => code.toString(2).padStart(8, '0') + (i % 2 ? '\n' : '')).join(''),
    ],
    ['seven bits each', codes.map((code) => code.toString(2).padStart(7, '0')).join(' ')],
    ['bits without spaces', codes.map((code) => code.toString(2).padStart(8, '0')).join('')],
    ['percent escapes', hex.map((pair) => `%${pair}`).join('')],
    ['tag letters', String.fromCodePoint(...codes.map((code) => 0xe0000 + code))],
  ])('%s', (_, code) => {
    const decoded = decode(`read this: ${code}`)!;
    expect(decoded).toMatch(/^read this:/);
    expect(decoded.split('\n').some((line) => line.startsWith(MESSAGE))).toBe(true);
  });

  test.each([
    ['decimal escapes', codes.map((code) => `&#${code};`).join('')],
    ['hex escapes', hex.map((pair) => `&#x${pair};`).join('')],
    ['octal escapes', codes.map((code) => `\\${code.toString(8).padStart(3, '0')}`).join('')],
    ['JavaScript escapes', hex.map((pair) => `\\u00${pair}`).join('')],
    ['a URL', `?q=${encodeURIComponent(`${MESSAGE}`)}`],
  ])('%s, in its place', (_, code) => {
    expect(decode(`read this: ${code}`)).toContain(MESSAGE);
  });

  test.each([
    ['&#', ';', 10],
    ['&#x', ';', 16],
    ['\\u00', '', 16],
  ] as const)('%s escapes, on a line of its own', (start, end, base) => {
    const code = codes.map((each) => `${start}${each.toString(base)}${end}`).join('');
    expect(decode(`read this: ${code} please`)).toContain(`\n${MESSAGE}\n`);
  });

  test('a text of decoys, and a text of thousands of letters', () => {
    const decoys = Array.from({ length: 9 }, (_, i) => btoa(`the dog and the cat ${i}`)).join(' ');
    expect(decode(`${decoys} ${btoa(MESSAGE)}`)).toContain(`\n${MESSAGE}\n`);
    expect(decode(btoa(`${'please '.repeat(1000)}${MESSAGE}`))).toContain(MESSAGE);
  });

  test('base64 broken into lines, as in mail', () => {
    const long = `${MESSAGE}, `.repeat(12);
    const lines = btoa(long).replace(/.{76}/g, '$&\n');
    expect(decode(`read this:\n${lines}`)).toContain(long);
  });
});

test('finds any sentence in base64', () => {
  const sentence = fc.array(fc.constantFrom(...EVERYDAY_WORDS), { minLength: 5, maxLength: 30 });
  fc.assert(
    fc.property(sentence, (words) => {
      expect(decode(`read ${btoa(words.join(' '))} please`)).toBe(`read \n${words.join(' ')}\n please`);
    }),
  );
});

test.each([
  ['a hash', 'is 5d41402abc4b2a76b9719d911017c592 the right sum?'],
  ['a commit', 'see 7c34f1f2a9b04d8e3c6f5a1b2d3e4f5061728394'],
  ['an identifier', '550e8400-e29b-41d4-a716-446655440000'],
  ['colours', 'color: #ff00ff; background: #00ff00'],
  ['numbers', '1200 3400 5600 7800 12 34 56 78'],
  ['ages', 'they are 98 99 101 102 104 98 97 and 101 years old'],
  ['words of equal length', 'they have this Town with four more RED2 cats'],
  ['a licence key', 'AB12C-34DEF-5GH67-89IJK-LM01N'],
  ['long words', 'internationalisation of Antidisestablishmentarianism'],
  ['one escape', 'fish &amp; chips, 100%25 good'],
  ['a random key', 'sk-9fQ2LmX0vR7bTz4KpW8sYh3NcJ6dGa1e'],
])('leaves %s alone', (_, text) => {
  expect(decode(text)).toBeUndefined();
});

test('never throws, and lengthens a text only by the line ends of its spans', () => {
  const text = fc.string({ unit: fc.constantFrom(...'aA0f4%&#x\\u;=+/- \n\u{e0061}é'), maxLength: 80 });
  fc.assert(
    fc.property(text, (any) => {
      const decoded = decode(any);
      if (decoded !== undefined) expect(decoded.length).toBeLessThanOrEqual(2 * any.length);
    }),
  );
});

test('reads a piece of a longer run that begins and ends inside a character', () => {
  const bytes = new TextEncoder().encode('naïve café, how do i bake bread with jalapeños');
  const code = (from: number, to: number) => btoa(String.fromCharCode(...bytes.subarray(from, to)));
  // The piece begins inside the ï and ends inside the ñ.
  expect(decode(code(3, 48))).toContain('ve café, how do i bake bread with jalape');
});
