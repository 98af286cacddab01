/**
 * What drivers that keep keys and values on a device must do: say the same as one that feeds them
 * each time, and feed them only when something else than the next tokens has changed them.
 */
import { expect } from 'vitest';
import type { Row, SequenceId, Source } from '../experts.ts';
import type { OnnxExperts } from '../onnx-experts.ts';

/** Disposes of both drivers. They must serve the same model. */
export async function checkKeptPast(
  kept: OnnxExperts,
  { plain, tolerance }: { plain: OnnxExperts; tolerance: number },
): Promise<void> {
  const rows: { on: SequenceId; off: SequenceId }[] = [];
  let fedTokens = 0;
  const token = () => 20 + (fedTokens++ % 200);
  /** Feeds each row on both, compares what they say, and returns how many runs were fed a past. */
  const feed = async (fed: readonly number[], { tokens = 1 } = {}) => {
    const before = kept.cacheUploads!;
    const asked = fed.map((row) => ({ ...rows[row]!, ids: Array.from({ length: tokens }, token) }));
    const [found, wanted] = await Promise.all([
      Promise.all(kept.append(asked.map(({ on, ids }) => ({ sequence: on, ids })))),
      Promise.all(plain.append(asked.map(({ off, ids }) => ({ sequence: off, ids })))),
    ]);
    for (const [i, { row }] of found.entries()) expect(gap(row, wanted[i]!.row)).toBeLessThan(tolerance);
    return kept.cacheUploads! - before;
  };
  const add = (on: SequenceId, off: SequenceId) => rows.push({ on, off }) - 1;
  const open = (source: Source) => add(kept.open(source), plain.open(source));

  const [a, b, c] = [open('safety'), open('helpfulness'), open('safety')];
  expect(await feed([a, b, c], { tokens: 5 })).toBe(1);
  expect(await feed([a, b, c])).toBe(1);
  for (let step = 0; step < 4; step++) expect(await feed([a, b, c])).toBe(0);
  // A draft, of which a part is taken back.
  const cut = (row: number, length: number) => {
    kept.cut(rows[row]!.on, length);
    plain.cut(rows[row]!.off, length);
  };
  expect(await feed([a, b, c], { tokens: 4 })).toBe(0);
  for (const row of [a, b, c]) cut(row, 12);
  expect(await feed([a, b, c])).toBe(0);
  expect(await feed([a, c], { tokens: 2 })).toBe(0);
  // A row that pauses, a row that is cut and a row that leaves change no key.
  expect(await feed([a, b])).toBe(0);
  expect(await feed([a, b, c])).toBe(0);
  cut(a, 6);
  expect(await feed([a, b, c])).toBe(0);
  kept.close(rows[b]!.on);
  plain.close(rows[b]!.off);
  expect(await feed([a, c])).toBe(0);
  expect(await feed([a, c])).toBe(0);
  // A row that joins: its prompt, and then the slab with it.
  const d = open('helpfulness');
  expect(await feed([d], { tokens: 3 })).toBe(1);
  expect(await feed([a, c, d])).toBe(1);
  expect(await feed([a, c, d])).toBe(0);
  const e = add(kept.fork(rows[c]!.on), plain.fork(rows[c]!.off));
  expect(await feed([a, c, d, e])).toBe(1);
  // Until the slab of 64 positions is full, and moves.
  let crossed = 0;
  for (let step = 0; step < 54; step++) crossed += await feed([a, c, d, e]);
  expect(crossed).toBeGreaterThan(0);
  expect(crossed).toBeLessThan(4);
  // When all have left, so has what was kept.
  for (const { on, off } of rows) {
    kept.close(on);
    plain.close(off);
  }
  rows.length = 0;
  const f = open('safety');
  expect(await feed([f], { tokens: 2 })).toBe(1);
  expect(await feed([f])).toBe(1);
  expect(await feed([f])).toBe(0);
  await Promise.all([kept.dispose(), plain.dispose()]);
}

/** The largest difference between two whole rows. */
function gap(one: Row, other: Row): number {
  if (!('logits' in one && 'logits' in other)) throw new Error('both rows must be whole');
  return one.logits.reduce((most, x, id) => Math.max(most, Math.abs(x - other.logits[id]!)), 0);
}
