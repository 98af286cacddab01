/**
 * Sums some rows of a matrix, one sum for each of the sixteen columns. This takes nearly all the
 * classifier's time. For int8 weights, four columns are added at once. Two 16-bit sums fit in one
 * 32-bit number if every weight is first made positive and the sums are emptied before they
 * overflow.
 */
import { COLUMNS } from './combine-scores.ts';

/** Writes the sums over the rows to `sums`. */
type SumRows = (rows: Uint32Array, sums: Float64Array) => void;

/** Added to each weight to make it positive. */
const SHIFT = 128;
/** The sum of this many numbers below 256 stays below 2^16. */
const MOST_ROWS = 256;
const WORDS = COLUMNS / 4;
/** Bytes 0 and 2 of a word. Shifting gives the others. */
const EVEN_BYTES = 0x00ff00ff;

/** `weights`: [rows, COLUMNS] */
export function createSumRows(weights: Int8Array | Float32Array): SumRows {
  return weights instanceof Int8Array && WORDS === 4 ? packed(weights) : oneByOne(weights);
}

function oneByOne(weights: Int8Array | Float32Array): SumRows {
  return (rows, sums) => {
    sums.fill(0);
    for (let i = 0; i < rows.length; i++) {
      const row = rows[i]! * COLUMNS;
      for (let k = 0; k < COLUMNS; k++) sums[k]! += weights[row + k]!;
    }
  };
}

/** Little-endian, like every machine that runs JavaScript: byte 0 of a word is the first column. */
function packed(weights: Int8Array): SumRows {
  const words = new Int32Array(Uint8Array.from(weights, (weight) => weight + SHIFT).buffer);
  return (rows, sums) => {
    sums.fill(0 - SHIFT * rows.length);
    for (let from = 0; from < rows.length; from += MOST_ROWS) {
      const to = Math.min(rows.length, from + MOST_ROWS);
      let even0 = 0;
      let even1 = 0;
      let even2 = 0;
      let even3 = 0;
      let odd0 = 0;
      let odd1 = 0;
      let odd2 = 0;
      let odd3 = 0;
      for (let i = from; i < to; i++) {
        const at = rows[i]! * WORDS;
        const a = words[at]!;
        const b = words[at + 1]!;
        const c = words[at + 2]!;
        const d = words[at + 3]!;
        even0 = (even0 + (a & EVEN_BYTES)) | 0;
        odd0 = (odd0 + ((a >>> 8) & EVEN_BYTES)) | 0;
        even1 = (even1 + (b & EVEN_BYTES)) | 0;
        odd1 = (odd1 + ((b >>> 8) & EVEN_BYTES)) | 0;
        even2 = (even2 + (c & EVEN_BYTES)) | 0;
        odd2 = (odd2 + ((c >>> 8) & EVEN_BYTES)) | 0;
        even3 = (even3 + (d & EVEN_BYTES)) | 0;
        odd3 = (odd3 + ((d >>> 8) & EVEN_BYTES)) | 0;
      }
      addWord(sums, 0, even0, odd0);
      addWord(sums, 4, even1, odd1);
      addWord(sums, 8, even2, odd2);
      addWord(sums, 12, even3, odd3);
    }
  };
}

function addWord(sums: Float64Array, column: number, even: number, odd: number): void {
  sums[column]! += even & 0xffff;
  sums[column + 1]! += odd & 0xffff;
  sums[column + 2]! += even >>> 16;
  sums[column + 3]! += odd >>> 16;
}
