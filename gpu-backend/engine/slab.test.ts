import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type KeysAndValues, Slab } from './slab.ts';

const shape = { layers: 2, width: 3 };

/**
 * A run's output of `tokens` tokens. All its numbers differ, and values are the negatives of keys.
 */
function freshKeys(tokens: number, seed: number): KeysAndValues {
  const part = (sign: number) =>
    Array.from({ length: shape.layers }, (_, layer) =>
      Float32Array.from({ length: tokens * shape.width }, (_, i) => sign * (seed * 1000 + layer * 100 + i + 1)),
    );
  return { keys: part(1), values: part(-1) };
}

/** The keys of one place in all layers, as `[layer][width]`, read through `prefix`. */
const keysAt = (slab: Slab, { slot, position }: { slot: number; position: number }) =>
  slab.prefix(slab.capacity).keys.map((array) => {
    const at = (position * slab.slotCount + slot) * shape.width;
    return [...array.subarray(at, at + shape.width)];
  });

/** What was written, by slot and position. */
type Written = Map<string, number[][]>;

function expectHolds(slab: Slab, written: Written): void {
  const { keys, values } = slab.prefix(slab.capacity);
  for (let slot = 0; slot < slab.slotCount; slot++) {
    for (let position = 0; position < slab.capacity; position++) {
      const wanted = written.get(`${slot} ${position}`) ?? Array(shape.layers).fill([0, 0, 0]);
      expect(keysAt(slab, { slot, position })).toEqual(wanted);
    }
  }
  expect(values.map((array) => Array.from(array, (x) => 0 - x))).toEqual(keys.map((array) => [...array]));
}

test('puts everything written or copied in its place and changes nothing else', () => {
  const place = { slot: fc.nat(2), position: fc.nat(3), count: fc.nat(2), from: fc.nat(2) };
  // Two rows of three tokens.
  const rows = 2;
  const action = fc.oneof(
    fc.record({ kind: fc.constant('write' as const), ...place }),
    fc.record({ kind: fc.constant('copy' as const), ...place }),
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 8 }), (actions) => {
      const slab = new Slab(shape, { slotCount: 3, capacity: 6 });
      const written: Written = new Map();
      actions.forEach(({ kind, slot, position, count, from }, seed) => {
        if (kind === 'write') {
          const fresh = freshKeys(6, seed);
          const row = from % rows;
          slab.write(fresh, { slot, position, row, rows, count });
          for (let t = 0; t < count; t++) {
            const at = (t * rows + row) * shape.width;
            written.set(
              `${slot} ${position + t}`,
              fresh.keys.map((keys) => [...keys.subarray(at, at + shape.width)]),
            );
          }
        } else {
          slab.copySlot(slab, { from, to: slot, length: position });
          for (let p = 0; p < position; p++) {
            const moved = written.get(`${from} ${p}`);
            if (moved) written.set(`${slot} ${p}`, moved);
            else written.delete(`${slot} ${p}`);
          }
        }
      });
      expectHolds(slab, written);
    }),
    { numRuns: 50 },
  );
});

test('copies a slot to a slab of another size', () => {
  const small = new Slab(shape, { slotCount: 2, capacity: 2 });
  small.write(freshKeys(2, 1), { slot: 1, position: 0, row: 0, rows: 1, count: 2 });
  const wide = new Slab(shape, { slotCount: 4, capacity: 3 });
  wide.copySlot(small, { from: 1, to: 3, length: 2 });
  for (const position of [0, 1]) {
    const wanted = keysAt(small, { slot: 1, position });
    expect(wanted[0]![0]).not.toBe(0);
    expect(keysAt(wide, { slot: 3, position })).toEqual(wanted);
  }
  expect(keysAt(wide, { slot: 3, position: 2 })).toEqual([
    [0, 0, 0],
    [0, 0, 0],
  ]);
});

test('grows at the end, and lets go of what it had', () => {
  const slab = new Slab(shape, { slotCount: 2, capacity: 2 });
  slab.write(freshKeys(2, 1), { slot: 1, position: 0, row: 0, rows: 1, count: 2 });
  const before = [0, 1].map((position) => keysAt(slab, { slot: 1, position }));
  const old = slab.prefix(2);
  slab.grow(5);
  expect(slab.capacity).toBe(5);
  expect([0, 1].map((position) => keysAt(slab, { slot: 1, position }))).toEqual(before);
  expect(keysAt(slab, { slot: 1, position: 4 })).toEqual([
    [0, 0, 0],
    [0, 0, 0],
  ]);
  expect([...old.keys, ...old.values].map(({ length }) => length)).toEqual([0, 0, 0, 0]);
});

test('a row alone is written where it belongs, as any other is', () => {
  const slab = new Slab(shape, { slotCount: 1, capacity: 5 });
  const fresh = freshKeys(3, 1);
  slab.write(fresh, { slot: 0, position: 2, row: 0, rows: 1, count: 2 });
  for (const t of [0, 1]) {
    expect(keysAt(slab, { slot: 0, position: 2 + t })).toEqual(
      fresh.keys.map((keys) => [...keys.subarray(t * shape.width, (t + 1) * shape.width)]),
    );
  }
  expect(keysAt(slab, { slot: 0, position: 4 }).flat()).toEqual([0, 0, 0, 0, 0, 0]);
});

test('grows in place where addresses are reserved, and beyond them as one block', () => {
  const slab = new Slab(shape, { slotCount: 2, capacity: 2 }, { reserved: 5 });
  slab.write(freshKeys(2, 1), { slot: 1, position: 0, row: 0, rows: 1, count: 2 });
  const before = [0, 1].map((position) => keysAt(slab, { slot: 1, position }));
  const old = slab.prefix(2);
  expect(slab.grow(5)).toBe(false);
  expect([old.keys[0]!.length, slab.capacity]).toEqual([2 * 2 * 3, 5]);
  expect(slab.grow(7)).toBe(true);
  expect(old.keys[0]).toHaveLength(0);
  expect([0, 1].map((position) => keysAt(slab, { slot: 1, position }))).toEqual(before);
  expect(keysAt(slab, { slot: 1, position: 6 }).flat()).toEqual([0, 0, 0, 0, 0, 0]);
});

test.each([2, 8])('gives memory back array by array, reserved positions: %d', (reserved) => {
  const slab = new Slab(shape, { slotCount: 2, capacity: 2 }, { reserved });
  const whole = slab.bytes;
  expect(whole).toBe(Slab.bytesFor(shape, slab));
  expect(slab.giveBack(1)).toBe(whole / 4);
  expect(slab.bytes).toBe((3 * whole) / 4);
  expect(slab.giveBack(Infinity)).toBe((3 * whole) / 4);
  expect([slab.bytes, slab.giveBack(1)]).toEqual([0, 0]);
});

test.each([true, false])('takes slots of another slab, which keeps its own: %s', (keep) => {
  const source = new Slab(shape, { slotCount: 3, capacity: 2 });
  for (const slot of [0, 1, 2]) {
    source.write(freshKeys(2, slot + 1), { slot, position: 0, row: 0, rows: 1, count: 2 });
  }
  const before = [2, 0].map((slot) => keysAt(source, { slot, position: 1 }));
  const target = new Slab(shape, { slotCount: 2, capacity: 4 });
  const places = [
    { from: 2, to: 0, length: 2 },
    { from: 0, to: 1, length: 2 },
  ];
  target.takeSlots(source, places, { keep });
  expect([0, 1].map((slot) => keysAt(target, { slot, position: 1 }))).toEqual(before);
  if (keep) expect(keysAt(source, { slot: 0, position: 1 })).toEqual(before[1]);
  else expect(() => source.prefix(2)).toThrow(/detached/);
});

test('a prefix is a view of the first positions, not a copy', () => {
  const slab = new Slab(shape, { slotCount: 2, capacity: 4 });
  const { keys, values } = slab.prefix(2);
  expect([keys.length, values.length]).toEqual([2, 2]);
  expect(keys[0]).toHaveLength(2 * 2 * 3);
  slab.write(freshKeys(1, 1), { slot: 0, position: 1, row: 0, rows: 1, count: 1 });
  expect([...keys[0]!.subarray(6, 9)]).toEqual([1001, 1002, 1003]);
});

test('tokens copied out of one slab and into another are the same there, and nothing else changes', () => {
  const tall = { layers: 3, width: 2 };
  const source = new Slab(tall, { slotCount: 2, capacity: 5 });
  const target = new Slab(tall, { slotCount: 3, capacity: 8 });
  const fresh: KeysAndValues = {
    keys: Array.from({ length: 3 }, (_, layer) => Float32Array.from({ length: 10 }, (_, i) => 100 * layer + i + 1)),
    values: Array.from({ length: 3 }, (_, layer) =>
      Float32Array.from({ length: 10 }, (_, i) => -(100 * layer + i + 1)),
    ),
  };
  source.write(fresh, { slot: 1, position: 0, row: 0, rows: 1, count: 5 });
  for (const layers of [
    [0, 1],
    [1, 3],
  ] as const) {
    const block = source.copyOut({ slot: 1, position: 2, count: 3, layers });
    expect(block).toHaveLength((layers[1] - layers[0]) * 2 * 3 * 2);
    target.copyIn(block, { slot: 2, position: 4, count: 3, layers });
  }
  const wanted = new Slab(tall, { slotCount: 3, capacity: 8 });
  const later = (arrays: readonly Float32Array[]) => arrays.map((array) => array.subarray(2 * tall.width));
  const rest = { keys: later(fresh.keys), values: later(fresh.values) };
  wanted.write(rest, { slot: 2, position: 4, row: 0, rows: 1, count: 3 });
  expect(target.prefix(8)).toEqual(wanted.prefix(8));
});

test('has another version after everything that changes what it holds, and after nothing else', () => {
  const slab = new Slab(shape, { slotCount: 2, capacity: 4 });
  const other = new Slab(shape, { slotCount: 2, capacity: 4 });
  const place = { slot: 0, position: 0, count: 1, layers: [0, 2] as const };
  const block = slab.copyOut(place);
  slab.prefix(3);
  expect(slab.version).toBe(0);
  const seen = new Set([slab.version]);
  for (const change of [
    () => slab.write(freshKeys(2, 1), { slot: 0, position: 0, row: 0, rows: 1, count: 2 }),
    () => slab.copySlot(slab, { from: 0, to: 1, length: 2 }),
    () => slab.copyIn(block, place),
    () => slab.grow(8),
    () => slab.takeSlots(other, [{ from: 0, to: 1, length: 1 }]),
  ]) {
    change();
    seen.add(slab.version);
  }
  expect(seen.size).toBe(6);
});

test('a place that is not there is an error, to read and to write', () => {
  const shape = { layers: 1, width: 2 };
  const slab = new Slab(shape, { slotCount: 2, capacity: 4 });
  const place = { position: 3, count: 2, layers: [0, 1] as const };
  const fresh = { keys: [new Float32Array(8)], values: [new Float32Array(8)] };
  for (const act of [
    () => slab.copyOut({ ...place, slot: 0 }),
    () => slab.copyIn(new Float32Array(8), { ...place, slot: 0 }),
    () => slab.write(fresh, { slot: 0, position: 3, row: 0, rows: 1, count: 2 }),
    () => slab.copySlot(slab, { from: 0, to: 1, length: 5 }),
    () => slab.prefix(5),
  ]) {
    expect(act).toThrow(RangeError);
  }
  expect(() => slab.copyOut({ ...place, count: 1, slot: 2 })).toThrow(
    'found 2 slots of 4 positions in a slab, wanted 4 positions of slot 2',
  );
});
