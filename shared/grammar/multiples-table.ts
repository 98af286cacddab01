import type { Table } from './pattern-leaf.ts';

/** Two states before the first digit: at the start, and after a sign. */
const BEFORE = 2;
const [MINUS, OTHER] = [10, 11];

/** Whole numbers in digits that can be divided by `of`. The state is what is left over. */
export function multiplesTable(of: number): Table {
  const columnOf = new Uint8Array(256).fill(OTHER);
  for (let digit = 0; digit < 10; digit++) columnOf[0x30 + digit] = digit;
  columnOf[0x2d] = MINUS;
  const table = new Int32Array((BEFORE + of) * (OTHER + 1)).fill(-1);
  for (let state = 0; state < BEFORE + of; state++) {
    const left = Math.max(0, state - BEFORE);
    for (let digit = 0; digit < 10; digit++) table[state * (OTHER + 1) + digit] = BEFORE + ((10 * left + digit) % of);
  }
  table[MINUS] = 1;
  const accepting = Uint8Array.from({ length: BEFORE + of }, (_, state) => (state === BEFORE ? 1 : 0));
  return { columnOf, table, accepting };
}
