/**
 * Finds the word that somebody mistyped by one letter: left out, added, doubled, swapped with its
 * neighbour, wrong, or replaced by a star. Two words are one slip apart if they become equal when
 * each loses at most one letter (SymSpell's idea). So an index of all words with one letter left
 * out answers in a few look-ups per letter, however long the list is.
 */

/**
 * `createNearWords(['bomb'])('bmob')` gives `bomb`. undefined if no word is near, or if the word
 * itself is too short.
 */
export type NearWord = (word: string) => string | undefined;

/** About half of all strings of three letters or fewer are one slip away from some word. */
const LEAST_LETTERS = 4;
/** Longer strings are no words with a slip in them. */
const MOST_LETTERS = 20;
/** How many words of one shape are tried, the commonest first. "the_" is near many words. */
const MOST_CANDIDATES = 12;
const STAR = '*';
const KEYBOARD = ['qwertyuiop', 'asdfghjkl', 'zxcvbnm'];
const VOWELS = 'aeiouy';

/** Takes words in order of falling frequency. If several words are near, the commonest is meant. */
export function createNearWords(words: readonly string[]): NearWord {
  const known = words.filter(
    (word) => word.length >= LEAST_LETTERS && word.length <= MOST_LETTERS && !word.includes("'"),
  );
  const rank = new Map(known.map((word, i) => [word, i]));
  const everyRank = new Map(words.map((word, i) => [word, i]));
  const single = new Map<string, number>();
  known.forEach((word, i) => {
    const plain = withoutDoubles(word);
    if (!single.has(plain)) single.set(plain, i);
  });
  const entries = known.reduce((sum, word) => sum + word.length, 1);
  const size = 2 ** Math.ceil(Math.log2(2 * entries));
  const owners = new Int32Array(size).fill(-1);
  const shapes = new Int32Array(size);
  known.forEach((word, i) => {
    for (let gap = 0; gap < word.length; gap++) {
      const shape = shapeOf(word, gap);
      let place = shape & (size - 1);
      while (owners[place] !== -1) place = (place + 1) & (size - 1);
      owners[place] = i;
      shapes[place] = shape;
    }
  });

  /**
   * The commonest word that has this shape when one letter is left out, and that `isMeant` accepts.
   */
  const ofShape = (shape: number, isMeant: (word: string) => boolean): number | undefined => {
    let tried = 0;
    for (let place = shape & (size - 1); owners[place] !== -1; place = (place + 1) & (size - 1)) {
      if (shapes[place] !== shape) continue;
      if (isMeant(known[owners[place]!]!)) return owners[place];
      if (++tried === MOST_CANDIDATES) return undefined;
    }
    return undefined;
  };

  return (word) => {
    if (word.length < LEAST_LETTERS - 1 || word.length > 2 * MOST_LETTERS) return undefined;
    // If every letter is doubled, even a short word is clear: "ttoo".
    const plain = withoutDoubles(word);
    if (2 * plain.length === word.length && everyRank.has(plain)) return plain;
    const doubled = plain === word ? undefined : (rank.get(plain) ?? single.get(plain));
    if (doubled !== undefined) return known[doubled];
    if (word.length > MOST_LETTERS) return undefined;

    let best = Number.POSITIVE_INFINITY;
    const offer = (i: number | undefined) => {
      if (i !== undefined && i < best) best = i;
    };
    // A letter was left out: the typed word is the shape of another.
    offer(ofShape(shapeOf(word, -1), (meant) => meant.length === word.length + 1 && differsByOneLeftOut(meant, word)));
    for (let gap = 0; gap < word.length; gap++) {
      if (word.length > LEAST_LETTERS) offer(rank.get(word.slice(0, gap) + word.slice(gap + 1)));
      offer(ofShape(shapeOf(word, gap), (meant) => meant.length === word.length && isSlipOf(word, meant)));
    }
    return best === Number.POSITIVE_INFINITY ? undefined : known[best];
  };
}

/** Turns "kiillll" into "kil". */
function withoutDoubles(word: string): string {
  return word.replace(/(.)\1+/g, '$1');
}

/** FNV-1a of the word without the letter at `gap`. With -1, no letter is left out. */
function shapeOf(word: string, gap: number): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < word.length; i++) if (i !== gap) hash = Math.imul(hash ^ word.charCodeAt(i), 0x01000193);
  return (hash ^ (hash >>> 15)) | 0;
}

function differsByOneLeftOut(long: string, short: string): boolean {
  let i = 0;
  while (i < short.length && long[i] === short[i]) i++;
  return long.slice(i + 1) === short.slice(i);
}

/**
 * For words of equal length: one letter is wrong by a slip of the finger or a star, or two
 * neighbours are swapped.
 */
function isSlipOf(typed: string, meant: string): boolean {
  let i = 0;
  while (i < typed.length && typed[i] === meant[i]) i++;
  if (i === typed.length) return false;
  if (typed.slice(i + 1) === meant.slice(i + 1)) return isNearKey(typed[i]!, meant[i]!);
  return typed[i] === meant[i + 1] && typed[i + 1] === meant[i] && typed.slice(i + 2) === meant.slice(i + 2);
}

/** A neighbour on the keyboard, or one vowel for another, as in misspellings. */
function isNearKey(typed: string, meant: string): boolean {
  if (typed === STAR || (VOWELS.includes(typed) && VOWELS.includes(meant))) return true;
  const [row, column] = placeOnKeyboard(typed);
  const [otherRow, otherColumn] = placeOnKeyboard(meant);
  return Math.abs(row - otherRow) <= 1 && Math.abs(column + row / 2 - otherColumn - otherRow / 2) <= 1;
}

function placeOnKeyboard(letter: string): [row: number, column: number] {
  const row = KEYBOARD.findIndex((keys) => keys.includes(letter));
  return row === -1 ? [9, 99] : [row, KEYBOARD[row]!.indexOf(letter)];
}
