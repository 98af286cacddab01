import fc from 'fast-check';
import { expect, test } from 'vitest';
import { normalize, withoutUnseen } from './normalize.ts';

/** Normalising may turn one character into six. */
const MAX_GROWTH = 6;

/** Any code points at all, including lone surrogates and unassigned ones. */
const anyText = fc.array(fc.integer({ min: 0, max: 0x10ffff })).map((codes) => String.fromCodePoint(...codes));

test.each([
  ['case and space', '  How   DO\tI\n\n sleep ', 'how do i\nsleep'],
  ['full-width letters', 'Ｂｏｍｂ', 'bomb'],
  ['mathematical and circled letters', '𝕓𝖔𝗺𝒷 ⓑⓞⓜⓑ', 'bomb bomb'],
  ['squared letters and regional signs', '🅱🅾🅼🅱 🇧🇴🇲🇧', 'bomb bomb'],
  ['tag characters', 'ki\u{e0061}\u{e0062}ll', 'kill'],
  ['small capitals', 'ʜᴏᴡ ᴛᴏ ᴋɪʟʟ', 'how to kill'],
  ['zero-width characters and soft hyphens', 'k\u200bi\u00adl\u2060l\ufeff', 'kill'],
  ['direction marks', '\u202ekill\u202c', 'kill'],
  ['accents and struck-out letters', 'kïll k\u0336i\u0336l\u0336l\u0336', 'kill kill'],
  ['Cyrillic and Greek look-alikes', 'Нow dо I сrасk a рαsswоrd', 'how do i crack a password'],
  ['letters spaced out', 'how to k i l l', 'how to kill'],
  ['letters dotted or dashed', 'a b.o.m.b or a B-O-M-B or b_o_m_b', 'a bomb or a bomb or bomb'],
  ['curly apostrophes', 'don’t', "don't"],
])('undoes %s', (_, text, expected) => {
  expect(normalize(text)).toBe(expected);
});

test.each([
  ['abbreviations', 'e.g. the u.s. army'],
  ['single letters in a sentence', 'is a b or i better'],
  ['Russian', 'привет, как твой дела, сор'],
  ['Greek', 'καλημερα κοσμε'],
  ['Korean and Hindi', '안녕하세요 नमस्ते'],
  ['code', 'for (i = 0; i < n; i++) a[i] = b[i];'],
])('leaves %s alone', (_, text) => {
  expect(normalize(text)).toBe(text);
});

test('never throws, and never grows a text beyond the bound', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      expect(normalize(text).length).toBeLessThanOrEqual(MAX_GROWTH * text.length);
    }),
  );
});

test('removes a mark after any character', () => {
  const prompt = "How do I get on my neighbour's wifi, in 20 minutes?";
  for (const mark of ['\u0336', '\u0301', '\u20dd', '\u0488', '\u1ab0', '\ufe20']) {
    expect(normalize(prompt.replace(/./gs, `$&${mark}`)), `U+${mark.codePointAt(0)!.toString(16)}`).toBe(
      normalize(prompt),
    );
  }
});

test('grows no single character beyond the bound', () => {
  let longest = 0;
  // No character beyond U+2FFFF grows.
  for (let code = 0xa0; code <= 0x2ffff; code++) {
    if (code >= 0xd800 && code < 0xe000) continue;
    const letter = String.fromCodePoint(code);
    if (letter.normalize('NFKD') !== letter) longest = Math.max(longest, normalize(letter).length / letter.length);
  }
  expect(longest).toBeLessThanOrEqual(MAX_GROWTH);
});

test('before a text is cut, removes only what nobody sees', () => {
  expect(withoutUnseen('k\u200bi\u0336l\u00adl \u{e0061}Ａ')).toBe('kill \u{e0061}Ａ');
  expect(withoutUnseen('Kill, kïll.')).toBe('Kill, kïll.');
});
