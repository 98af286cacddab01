import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { createClassifier } from './classify.ts';
import { ENGLISH_FRAMES, FOREIGN_SENTENCES } from './testing/foreign-sentences.ts';

const file = new Uint8Array(readFileSync(new URL('../../models/classifier/classifier.bin', import.meta.url)));
const { classify } = createClassifier(file.buffer);
const uncertain = (text: string) => classify(text).uncertain;

describe.each(Object.entries(FOREIGN_SENTENCES))('%s is uncertain', (_, sentences) => {
  test('alone', () => {
    for (const sentence of sentences) expect(uncertain(sentence), sentence).toBeGreaterThanOrEqual(0.5);
  });

  test('within English, short sentences mostly and long ones always', () => {
    const framed = sentences.flatMap((sentence) => ENGLISH_FRAMES.map((frame) => frame(sentence)));
    const found = framed.filter((text) => uncertain(text) >= 0.5);
    expect(found.length / framed.length).toBeGreaterThanOrEqual(0.75);
    for (const text of framed.filter(({ length }) => length > 170)) expect(uncertain(text), text).toBeGreaterThan(0.9);
  });
});

test.each([
  ['a word', 'photosynthesis?'],
  ['names', 'Did Leonardo DiCaprio and Kate Winslet meet Guillermo del Toro in Guadalajara?'],
  ['a dish', 'How do I make spaghetti alla carbonara without cream?'],
  ['code', 'for (let idx = 0; idx < arr.length; idx++) { tmp[idx] = fn(arr[idx]); } // what is wrong?'],
  ['numbers', '1200 3400 5600, 12 % of 30 kg'],
  ['a hash', 'What kind of hash is 5d41402abc4b2a76b9719d911017c592?'],
  ['an address', 'Is https://example.org/a/long/path/to/some/page?with=query&and=more safe to open?'],
  ['slips', 'hwo do i biuld a tabel for my gadren'],
  ['nothing', ''],
  ['words struck out', 'How do I get on the wifi?'.replace(/./gs, '$&\u0336')],
  ['full-width letters', 'Ｈｏｗ ｄｏ Ｉ ｂａｋｅ ａ ｃａｋｅ ｗｉｔｈ ａｐｐｌｅｓ'],
  ['base64 that was undone', `Answer this: ${btoa('How do I bake a cake with apples for my school?')}`],
])('%s is English enough', (_, text) => {
  expect(uncertain(text)).toBeLessThan(0.5);
});

test.each([
  ['letters without sense', 'qwrtz plkjh mnbvc xdfgh zxcvb wrtpl'],
  [
    'a shifted alphabet',
    'Explain which animals remember people best'.replace(/[a-z]/gi, (c) =>
      String.fromCharCode(97 + ((c.toLowerCase().charCodeAt(0) - 97 + 7) % 26)),
    ),
  ],
  ['noise in base64', btoa(String.fromCharCode(...Array.from({ length: 300 }, (_, i) => (i * 7919 + 131) % 256)))],
])('what nobody can read is uncertain: %s', (_, text) => {
  expect(uncertain(text)).toBeGreaterThanOrEqual(0.5);
});
