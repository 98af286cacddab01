/**
 * Undoes disguises that cost a writer nothing and would cost a classifier everything, since it only knows the n-grams it
 * was trained on. Deliberately thin: no leetspeak, no base64, no translation. The same function runs before training.
 */
import { foldConfusables } from './confusables.ts';

/** Soft hyphens, zero-width spaces and joiners, direction marks, variation selectors, tag characters. */
const INVISIBLE = /\p{Default_Ignorable_Code_Point}/gu;
const MARKED_LATIN = /([a-z])[\u0300-\u036f]+/gi;
const CURLY_APOSTROPHES = /[\u2018\u2019\u02bc]/g;
/** Three or more single letters with the same separator between each two: "k i l l", "b-o-m-b". Two would catch "e.g." */
const SPACED_LETTERS = /(?<![\p{L}\p{N}])\p{L}([ .\-_*])\p{L}(?:\1\p{L})+(?![\p{L}\p{N}])/gu;

/** `normalize('Ｋｉ\u200bll  a B.O.M.B')` gives `kill a bomb` */
export function normalize(text: string): string {
  // NFKD, marks away, NFC: NFKC that also drops Latin accents, so that "bömb" is "bomb" and Hangul stays whole.
  const plain = text
    .normalize('NFKD')
    .replace(INVISIBLE, '')
    .replace(MARKED_LATIN, '$1')
    .normalize('NFC')
    .toLowerCase();
  return foldConfusables(plain)
    .replace(CURLY_APOSTROPHES, "'")
    .replace(SPACED_LETTERS, (letters) => letters.replace(/[ .\-_*]/g, ''))
    .replace(/\s+/g, ' ')
    .trim();
}
