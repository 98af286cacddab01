/**
 * What hasty typists, and people who hide a word from a filter, do to a prompt. Each noise makes
 * the prompt hard to read for an n-gram model, but not for a person. Each is as strong as its kind
 * gets: it hits every longer word.
 */

/** Returns a number in [0, 1). */
type Draw = () => number;

export type Noise = { name: string; apply(prompt: string, draw: Draw): string };

const WORD = /[A-Za-z]+/g;
/** Too little is left of shorter words. */
const LEAST_LETTERS = 5;
const NEIGHBOURS: Readonly<Record<string, string>> = {
  a: 'sq',
  b: 'vn',
  c: 'xv',
  d: 'sf',
  e: 'wr',
  f: 'dg',
  g: 'fh',
  h: 'gj',
  i: 'uo',
  j: 'hk',
  k: 'jl',
  l: 'k',
  m: 'n',
  n: 'bm',
  o: 'ip',
  p: 'o',
  q: 'w',
  r: 'et',
  s: 'ad',
  t: 'ry',
  u: 'yi',
  v: 'cb',
  w: 'qe',
  x: 'zc',
  y: 'tu',
  z: 'x',
};

type Change = (word: string, at: number, draw: Draw) => string;

/** Changes each long word at a letter that is neither the first nor the last. */
const inLongWords =
  (change: Change, least = LEAST_LETTERS) =>
  (prompt: string, draw: Draw) =>
    prompt.replace(WORD, (word) =>
      word.length < least ? word : change(word, 1 + Math.floor(draw() * (word.length - 2)), draw),
    );

export const NOISES: readonly Noise[] = [
  { name: 'letters left out', apply: inLongWords((word, at) => word.slice(0, at) + word.slice(at + 1)) },
  {
    name: 'words split in two',
    apply: inLongWords((word, at) => `${word.slice(0, at + 1)} ${word.slice(at + 1)}`),
  },
  { name: 'letters doubled', apply: inLongWords((word, at) => word.slice(0, at) + word[at] + word.slice(at), 4) },
  { name: 'every letter doubled', apply: (prompt) => prompt.replace(/[a-z]/gi, '$&$&') },
  {
    name: 'letters swapped',
    apply: inLongWords((word, at) => word.slice(0, at) + word[at + 1] + word[at] + word.slice(at + 2), 4),
  },
  {
    name: 'wrong keys',
    apply: inLongWords((word, at, draw) => {
      const keys = NEIGHBOURS[word[at]!.toLowerCase()]!;
      return word.slice(0, at) + keys[Math.floor(draw() * keys.length)] + word.slice(at + 1);
    }),
  },
  { name: 'hyphens in words', apply: inLongWords((word, at) => `${word.slice(0, at + 1)}-${word.slice(at + 1)}`, 4) },
  { name: 'stars for letters', apply: inLongWords((word, at) => `${word.slice(0, at)}*${word.slice(at + 1)}`, 4) },
  { name: 'dots in words', apply: inLongWords((word, at) => `${word.slice(0, at + 1)}.${word.slice(at + 1)}`, 4) },
  {
    name: 'one field of a JSON object',
    apply: (prompt) =>
      JSON.stringify({
        id: 4711,
        user: { name: 'Maria Lopez', city: 'Porto', about: 'I teach maths and grow tomatoes on my balcony.' },
        created: '2026-03-01T09:30:00Z',
        history: ['What is the weather in Lisbon in May?', 'Mild and sunny, about 20 degrees.', prompt],
        options: { temperature: 0.7, max_tokens: 256, stream: false },
      }),
  },
];
