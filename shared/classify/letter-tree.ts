/**
 * A list of words as a tree of letters, in flat arrays. Finding the words that begin at a place
 * costs one step per letter and ends where no word continues. So breaking a text into words is one
 * cheap pass, whatever the text.
 */

/** Calls `found(end, value)` for every word of the list that begins at `start` in `text`. */
export type WordsFrom = (text: string, start: number, found: (end: number, value: number) => void) => void;

/**
 * Letters are 1 to 26 and the apostrophe is 27. 0 is any other character, which no word contains.
 */
const SYMBOLS = 32;

/**
 * Words in small letters and apostrophes, each with its value. If a word occurs twice, its first
 * value counts.
 */
export function createLetterTree(words: Iterable<readonly [word: string, value: number]>): WordsFrom {
  const list = [...words];
  const letters = list.reduce((sum, [word]) => sum + word.length, 1);
  // At least half empty, so that a step in the tree is a look-up or two.
  const size = 2 ** Math.ceil(Math.log2(2 * letters));
  const keys = new Int32Array(size);
  const children = new Int32Array(size);
  const values = new Float32Array(letters + 1).fill(Number.NaN);
  let nodes = 1;

  /**
   * The place of a step in the table, or the empty place where it would be. The root is 1, so no
   * step has the key 0.
   */
  const placeOf = (key: number) => {
    let place = (Math.imul(key, 0x9e3779b1) >>> 8) & (size - 1);
    while (keys[place] !== key && keys[place] !== 0) place = (place + 1) & (size - 1);
    return place;
  };
  for (const [word, value] of list) {
    let node = 1;
    for (let i = 0; i < word.length; i++) {
      const key = node * SYMBOLS + symbolOf(word.charCodeAt(i));
      const place = placeOf(key);
      if (keys[place] === 0) {
        keys[place] = key;
        children[place] = ++nodes;
      }
      node = children[place]!;
    }
    if (Number.isNaN(values[node])) values[node] = value;
  }

  return (text, start, found) => {
    let node = 1;
    for (let i = start; i < text.length; i++) {
      const symbol = symbolOf(text.charCodeAt(i));
      if (symbol === 0) return;
      node = children[placeOf(node * SYMBOLS + symbol)]!;
      if (node === 0) return;
      if (!Number.isNaN(values[node])) found(i + 1, values[node]!);
    }
  };
}

function symbolOf(code: number): number {
  if (code >= 0x61 && code <= 0x7a) return code - 0x60;
  return code === 0x27 ? 27 : 0;
}
