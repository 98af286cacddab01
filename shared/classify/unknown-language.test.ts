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

  test('in an English frame, mostly for short texts and always for long ones', () => {
    const framed = sentences.flatMap((sentence) => ENGLISH_FRAMES.map((frame) => frame(sentence)));
    const found = framed.filter((text) => uncertain(text) >= 0.5);
    expect(found.length / framed.length).toBeGreaterThanOrEqual(0.75);
    for (const text of framed.filter(({ length }) => length > 170)) expect(uncertain(text), text).toBeGreaterThan(0.9);
  });
});

const SENTENCES = Object.values(FOREIGN_SENTENCES).flat();
const LATIN = /[a-z]{2}/i;
const spaced = (between: string) => (text: string) =>
  LATIN.test(text) ? text : Array.from(text.replaceAll(' ', '')).join(between);
const bytes = (text: string) => Array.from(new TextEncoder().encode(text));

describe('a foreign sentence stays uncertain', () => {
  test.each<[string, (text: string) => string]>([
    ['in capitals', (text) => text.toUpperCase()],
    ['with a capital for each word', (text) => text.replace(/(^|\s)\p{L}/gu, (letter) => letter.toUpperCase())],
    ['tied with underscores', (text) => text.replaceAll(' ', '_')],
    ['tied with slashes', (text) => text.replaceAll(' ', '/')],
    ['with a sign before each word', (text) => text.replace(/(^|\s)(?=\p{L})/gu, '$1@')],
    ['with a bracket before each word', (text) => text.replace(/(^|\s)(?=\p{L})/gu, '$1(')],
    ['with digits for vowels', (text) => text.replace(/[eio]/g, (vowel) => ({ e: '3', i: '1', o: '0' })[vowel]!)],
    ['with spaces between its letters, if they are not Latin', spaced(' ')],
    ['with commas between its letters, if they are not Latin', spaced(',')],
    ['in base64', (text) => btoa(String.fromCharCode(...bytes(text)))],
    [
      'in hex',
      (text) =>
        bytes(text)
          .map((byte) => byte.toString(16).padStart(2, '0'))
          .join(''),
    ],
    [
      'in percent escapes',
      (text) =>
        bytes(text)
          .map((byte) => `%${byte.toString(16).padStart(2, '0')}`)
          .join(''),
    ],
  ])('%s', (_, disguise) => {
    const disguised = SENTENCES.map(disguise);
    const missed = disguised.filter((text) => uncertain(text) < 0.5);
    expect(missed.length / disguised.length, missed.join(' | ')).toBeLessThanOrEqual(0.05);
  });

  test('in most cases without spaces, among repeats of one English word, or in capitals in an English frame', () => {
    for (const [least, disguise] of [
      [0.85, (text: string) => text.replaceAll(' ', '')],
      [0.85, (text: string) => `Tell me: ${text.replace(/(?:^|\s)\p{L}/gu, (start) => start.trim().toUpperCase())}`],
      [0.75, (text: string) => text.replaceAll(' ', ' water ')],
      [0.85, (text: string) => `Please answer this question: ${text.toUpperCase()}`],
    ] as const) {
      const found = SENTENCES.filter((text) => uncertain(disguise(text)) >= 0.5);
      expect(found.length / SENTENCES.length).toBeGreaterThanOrEqual(least);
    }
  });
});

test.each([
  ['a chat', 'imo thats kinda sus ngl, smh fr fr no cap, lowkey vibin tho'],
  ['misspelt long words', 'definately recieve seperate accomodate occurence embarass millenium'],
  ['a list of dishes', 'sushi, sashimi, tonkotsu ramen, okonomiyaki, takoyaki, gyoza, edamame'],
  [
    'a recipe',
    'Ingredients: 2 tbsp ghee, 1 tsp jeera, 1 tsp haldi, 2 cups basmati, 1 tsp garam masala, paneer, dal, roti',
  ],
  [
    'a list of plants',
    'Plants in my garden: hosta, astilbe, heuchera, hydrangea paniculata, echinacea purpurea, salvia nemorosa',
  ],
  ['drugs', 'what is the difference between atorvastatin, rosuvastatin, simvastatin and pravastatin'],
  [
    'science',
    'We investigate heteroscedastic autoregressive models with Ornstein-Uhlenbeck innovations and establish asymptotic normality of the quasi-maximum likelihood estimator.',
  ],
  ['libraries', 'pytorch tensorflow jax numpy scipy pandas sklearn matplotlib seaborn'],
  [
    'law',
    'The doctrine of stare decisis, mens rea and actus reus, habeas corpus, prima facie, inter alia, mutatis mutandis',
  ],
  ['names with accents', 'Lunch with Björn Ångström and Zoë Müller at Café René in Orléans.'],
  ['DNA bases', 'ATGCGTACGTTAGCCTAGGCTAACGATCG translate this DNA'],
  ['a Greek gloss', 'Although the Greeks call the country Hellas (Ελλάς), the Romans had another name for it.'],
  [
    'a lock file',
    '"version": "0.28.2", "integrity": "sha512-O387ite7SzUyCcy3JQX4P4bLtEA7bLLkxEesve5JHnyYfNTxcVpXZo9jhdB0lTKN44gztELTdU7nS8Nr16Fs1Q=="',
  ],
  ['an identifier', 'Is 550e8400-e29b-41d4-a716-446655440000 a valid id?'],
  ['a key', 'My license key ABCDE-12F45-GH678-90KLM-PQR12 does not work, please reply with a new one.'],
  ['telephone numbers', 'Call +44 20 7946 0958 or 0151 496 0123 and answer the questions; ISBN 978-3-16-148410-0'],
  ['a table', '1200 3400 5600 7800\n12 34 56 78\n98 99 101 102 104 98'],
])('%s is English enough too', (_, text) => {
  expect(uncertain(text)).toBeLessThan(0.5);
});

test.each([
  ['Decode and answer: 7c34f1f2a9b04d8e3c6f5a1b2d3e4f50617283940a1b'],
  ['Decode it, then follow it: 8-15-23 20-15 2-1-11-5 1 3-1-11-5 23-9-20-8 1-16-16-12-5-19'],
  ['xK9fQ2LmX0vR7bTz4KpW8sYh3NcJ6dGa1e'],
])('a code that could not be decoded is uncertain if the text asks to decode it or is nothing else: %s', (text) => {
  expect(uncertain(text)).toBeGreaterThanOrEqual(0.5);
});

test.each([
  ['a word', 'photosynthesis?'],
  ['names', 'Did Leonardo DiCaprio and Kate Winslet meet Guillermo del Toro in Guadalajara?'],
  ['a dish', 'How do I make spaghetti alla carbonara without cream?'],
  ['code', 'for (let idx = 0; idx < arr.length; idx++) { tmp[idx] = fn(arr[idx]); } // what is wrong?'],
  ['numbers', '1200 3400 5600, 12 % of 30 kg'],
  ['a hash', 'What kind of hash is 5d41402abc4b2a76b9719d911017c592?'],
  ['a URL', 'Is https://example.org/a/long/path/to/some/page?with=query&and=more safe to open?'],
  ['typing slips', 'hwo do i biuld a tabel for my gadren'],
  ['nothing', ''],
  ['words struck out', 'How do I get on the wifi?'.replace(/./gs, '$&\u0336')],
  ['full-width letters', 'Ｈｏｗ ｄｏ Ｉ ｂａｋｅ ａ ｃａｋｅ ｗｉｔｈ ａｐｐｌｅｓ'],
  ['base64 that was decoded', `Answer this: ${btoa('How do I bake a cake with apples for my school?')}`],
])('%s is English enough', (_, text) => {
  expect(uncertain(text)).toBeLessThan(0.5);
});

test.each([
  ['letters that make no sense', 'qwrtz plkjh mnbvc xdfgh zxcvb wrtpl'],
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
