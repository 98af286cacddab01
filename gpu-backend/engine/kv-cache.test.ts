import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { KvCache, type Slot } from './kv-cache.ts';
import { Slab } from './slab.ts';

const SHAPE = { layers: 2, width: 3 };
const { layers, width } = SHAPE;

/** A sequence as it should be. `tokens` are the numbers from which its keys are made. */
type Model = { slot: Slot; tokens: number[] };

/** The keys of a token. They differ by layer and place, and values are their negatives. */
const keyOf = (token: number, layer: number, i: number) => token * 100 + layer * 10 + i;

let lastToken = 0;
/** Their keys are exact in 32 bits. */
const newToken = () => {
  lastToken = (lastToken % 150_000) + 1;
  return lastToken;
};

/**
 * Appends `count` new tokens to each sequence, as a run does: first it reads the past, then it
 * writes the output, padded on the right.
 */
function run(
  cache: KvCache,
  stepping: readonly { model: Model; count: number }[],
  { whole = false, onRead }: { whole?: boolean; onRead?: () => void } = {},
): void {
  const past = cache.past(
    stepping.map(({ model }) => model.slot),
    { next: Math.max(...stepping.map(({ count }) => count)), whole },
  );
  onRead?.();
  for (const [i, { model }] of stepping.entries()) expectHolds(past, past.rowOf[i]!, model);
  const steps = Math.max(...stepping.map(({ count }) => count));
  const fresh = stepping.map(({ count }) => Array.from({ length: count }, newToken));
  const output = (sign: number) =>
    Array.from({ length: layers }, (_, layer) => {
      const out = new Float32Array(past.rows * steps * width).fill(-1e6);
      fresh.forEach((tokens, i) => {
        tokens.forEach((token, t) => {
          const at = (t * past.rows + past.rowOf[i]!) * width;
          for (let j = 0; j < width; j++) out[at + j] = sign * keyOf(token, layer, j);
        });
      });
      return out;
    });
  cache.append(
    stepping.map(({ model: { slot }, count }, i) => ({ slot, row: past.rowOf[i]!, count })),
    { fresh: { keys: output(1), values: output(-1) }, rows: past.rows },
  );
  stepping.forEach(({ model }, i) => {
    model.tokens.push(...fresh[i]!);
  });
}

function expectHolds(past: ReturnType<KvCache['past']>, row: number, { tokens }: Model): void {
  expect(past.length).toBeGreaterThanOrEqual(tokens.length);
  for (let layer = 0; layer < layers; layer++) {
    const found = tokens.map((_, p) => past.keys[layer]![(p * past.rows + row) * width + 1]);
    expect(found).toEqual(tokens.map((token) => keyOf(token, layer, 1)));
    const values = tokens.map((_, p) => past.values[layer]![(p * past.rows + row) * width + 2]);
    expect(values).toEqual(tokens.map((token) => -keyOf(token, layer, 2)));
  }
}

const take = (cache: KvCache, count: number): Model[] => cache.take(count).map((slot) => ({ slot, tokens: [] }));

test('keeps each sequence’s own tokens, whatever joins, forks, steps and leaves, in any order', () => {
  const action = fc.record({
    kind: fc.constantFrom('join', 'leave', 'fork', 'cut', 'step', 'step', 'some', 'some', 'read', 'read'),
    which: fc.nat(30),
    count: fc.integer({ min: 1, max: 40 }),
  });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
      const cache = new KvCache(SHAPE);
      let held: Model[] = [];
      for (const { kind, which, count } of actions) {
        const chosen = held[which % Math.max(1, held.length)];
        if (kind === 'join') {
          const joined = take(cache, 1 + (which % 4));
          run(
            cache,
            joined.map((model, i) => ({ model, count: Math.max(1, count - i) })),
          );
          held.push(...joined);
        } else if (!chosen) continue;
        else if (kind === 'leave') {
          cache.release(chosen.slot);
          cache.release(chosen.slot);
          held = held.filter((model) => model !== chosen);
        } else if (kind === 'fork') {
          held.push({ slot: cache.fork(chosen.slot), tokens: [...chosen.tokens] });
        } else if (kind === 'cut') {
          const length = Math.floor(chosen.tokens.length / 2);
          cache.cut(chosen.slot, length);
          chosen.tokens.splice(length);
        } else if (kind === 'read') {
          // The newest, again and again, as a prompt is read in chunks.
          run(
            cache,
            held.slice(-2).map((model) => ({ model, count })),
          );
        } else {
          const stepping = kind === 'step' ? held : held.filter((_, i) => i % 5 === which % 5 || held.length === 1);
          if (stepping.length > 0)
            run(
              cache,
              stepping.map((model) => ({ model, count: kind === 'step' ? 1 : count })),
            );
        }
      }
      if (held.length > 0)
        run(
          cache,
          held.map((model) => ({ model, count: 1 })),
        );
    }),
    { numRuns: 150 },
  );
});

test('a new sequence takes the lowest free slot and moves no other sequence', () => {
  const cache = new KvCache(SHAPE);
  const models = take(cache, 6);
  run(
    cache,
    models.map((model) => ({ model, count: 3 })),
  );
  for (const i of [4, 1]) cache.release(models[i]!.slot);
  const [first, second] = take(cache, 2) as [Model, Model];
  expect([first.slot.index, second.slot.index]).toEqual([1, 4]);
  run(cache, [
    { model: first, count: 9 },
    { model: second, count: 2 },
  ]);
  expect(cache.moves).toBe(0);
});

test('as many sequences come one by one, the slab moves less and less often', () => {
  const cache = new KvCache(SHAPE);
  const sizes = new Set<number>();
  for (let i = 0; i < 64; i++) {
    const [model] = take(cache, 1) as [Model];
    run(cache, [{ model, count: 1 }]);
    sizes.add(cache.slotCount);
  }
  expect([...sizes]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64]);
  // The first resize finds nothing to move.
  expect(cache.moves).toBe(sizes.size - 1);
});

test('cuts holes only when a quarter of the slots have been empty for some runs, and cuts all slots when no sequence is left', () => {
  const cache = new KvCache(SHAPE);
  const models = take(cache, 8);
  const step = (left: readonly Model[]) =>
    run(
      cache,
      left.map((model) => ({ model, count: 1 })),
    );
  step(models);
  cache.release(models[2]!.slot);
  const [, second, , ...rest] = models as [Model, Model, Model, ...Model[]];
  for (let i = 0; i < 40; i++) step([models[0]!, second, ...rest]);
  expect([cache.slotCount, cache.moves]).toEqual([8, 0]);
  cache.release(models[0]!.slot);
  for (let i = 0; i < 16; i++) step([second, ...rest]);
  expect(cache.slotCount).toBe(8);
  step([second, ...rest]);
  expect([cache.slotCount, cache.moves]).toEqual([6, 1]);
  for (const { slot } of [second, ...rest]) cache.release(slot);
  expect(cache.slotCount).toBe(0);
});

test('a run over a few of many slots reads only those few', () => {
  const cache = new KvCache(SHAPE);
  const models = take(cache, 8);
  run(
    cache,
    models.map((model, i) => ({ model, count: i + 1 })),
  );
  const past = cache.past([models[5]!.slot, models[0]!.slot]);
  expect([past.rows, past.length, past.rowOf]).toEqual([2, 6, [0, 1]]);
  expectHolds(past, 0, models[5]!);
  expectHolds(past, 1, models[0]!);
});

test('a prompt that is read in chunks beside other sequences is copied once, without holes, and not at all in the end', () => {
  const copied = vi.spyOn(Slab.prototype, 'copySlot');
  const cache = new KvCache(SHAPE);
  const others = take(cache, 6);
  const step = (models: readonly Model[], count: number) =>
    run(
      cache,
      models.map((model) => ({ model, count })),
    );
  step(others, 5);
  const reading = take(cache, 2);
  copied.mockClear();
  for (let chunk = 0; chunk < 20; chunk++) {
    expect(
      cache.past(
        reading.map(({ slot }) => slot),
        { next: 30 },
      ).rows,
    ).toBe(2);
    step(reading, 30);
    step(others, 1);
  }
  expect(copied).toHaveBeenCalledTimes(reading.length);
  copied.mockClear();
  step([...others, ...reading], 1);
  expect(copied).not.toHaveBeenCalled();
  copied.mockRestore();
});

test('answers that take turns with a prompt are soon computed without its rows, and copied once for that', () => {
  const copied = vi.spyOn(Slab.prototype, 'copySlot');
  const cache = new KvCache(SHAPE);
  const answers = take(cache, 2);
  const step = (models: readonly Model[], count: number) =>
    run(
      cache,
      models.map((model) => ({ model, count })),
    );
  step(answers, 5);
  const reading = take(cache, 2);
  copied.mockClear();
  const rows = Array.from({ length: 20 }, () => {
    step(reading, 30);
    const past = cache.past(answers.map(({ slot }) => slot));
    answers.forEach((model, i) => {
      expectHolds(past, past.rowOf[i]!, model);
    });
    step(answers, 1);
    return past.rows;
  });
  expect(rows[0]).toBe(4);
  expect(new Set(rows.slice(5))).toEqual(new Set([2]));
  expect(copied).toHaveBeenCalledTimes(answers.length + reading.length);
  copied.mockRestore();
});

test('a sequence that was cut and has grown to the same length again is not mistaken for the old one', () => {
  const cache = new KvCache(SHAPE);
  const models = take(cache, 3);
  const step = (which: readonly Model[], count: number) =>
    run(
      cache,
      which.map((model) => ({ model, count })),
    );
  step(models, 4);
  const [first] = models as [Model];
  step([first], 7);
  cache.cut(first.slot, 10);
  first.tokens.splice(10);
  step(models, 1);
  step([first], 7);
});

describe('after a run that failed', () => {
  test('the slab can grow again', () => {
    const cache = new KvCache(SHAPE);
    const [first, second] = take(cache, 2) as [Model, Model];
    run(cache, [{ model: first, count: 3 }]);
    cache.past([first.slot]);
    cache.endRun();
    cache.reserve(200);
    run(cache, [
      { model: first, count: 1 },
      { model: second, count: 150 },
    ]);
  });

  test('so it can if all sequences have left', () => {
    const cache = new KvCache(SHAPE);
    const [model] = take(cache, 1) as [Model];
    cache.past([model.slot]);
    cache.release(model.slot);
    const [next] = take(cache, 1) as [Model];
    cache.reserve(200);
    run(cache, [{ model: next, count: 200 }]);
  });
});

test('the slab does not grow under a run', () => {
  const cache = new KvCache(SHAPE);
  const [model] = take(cache, 1) as [Model];
  cache.past([model.slot]);
  expect(() => cache.reserve(200)).toThrow('found a run that reads the slab');
});

test('what is not there can neither be copied out nor in', () => {
  const cache = new KvCache(SHAPE);
  const [model] = take(cache, 1) as [Model];
  run(cache, [{ model, count: 20 }]);
  const place = { position: 16, count: 16, layers: [0, layers] as const };
  expect(() => cache.copyOut(model.slot, place)).toThrow('found 20 tokens in slot 0, wanted 32');
  const block = new Float32Array(16 * layers * width * 2);
  expect(() => cache.copyIn(model.slot, block, { ...place, position: 64 })).toThrow('wanted 80 positions of slot 0');
});

describe('memory that is bounded', () => {
  /** A sequence, and how long it may get. */
  type Admitted = { model: Model; most: number };

  test('is never exceeded by slab and copies together, whatever is admitted, and no key is lost', () => {
    const action = fc.record({
      kind: fc.constantFrom('join', 'join', 'join', 'leave', 'step', 'some', 'read', 'read', 'draft', 'crowd leaves'),
      which: fc.nat(60),
      count: fc.integer({ min: 1, max: 400 }),
      rows: fc.integer({ min: 1, max: 6 }),
      most: fc.integer({ min: 1, max: 500 }),
      whole: fc.boolean(),
    });
    const bounds = fc.record({ positions: fc.integer({ min: 300, max: 3000 }), reserved: fc.boolean() });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 30 }), bounds, (actions, { positions, reserved }) => {
        const mostBytes = positions * layers * width * 2 * Float32Array.BYTES_PER_ELEMENT;
        const cache = new KvCache(SHAPE, { mostBytes, ...(reserved && { mostPositions: 500 }) });
        let held: Admitted[] = [];
        const check = () => expect(cache.bytes).toBeLessThanOrEqual(mostBytes);
        const feed = (chosen: readonly Admitted[], count: number, whole: boolean) => {
          const stepping = chosen
            .map(({ model, most }) => ({ model, count: Math.min(count, most - model.tokens.length) }))
            .filter((one) => one.count > 0);
          if (stepping.length === 0) return;
          if (count > 16) cache.reserve(Math.max(...stepping.map((one) => one.model.tokens.length + one.count)));
          check();
          run(cache, stepping, { whole, onRead: check });
          check();
        };
        const leave = (gone: readonly Admitted[]) => {
          for (const { model } of gone) cache.release(model.slot);
          held = held.filter((one) => !gone.includes(one));
        };
        for (const { kind, which, count, rows, most, whole } of actions) {
          const some = held.filter((_, i) => i % 5 === which % 5);
          if (kind === 'join') {
            const lengths = [...held.map((one) => one.most), ...Array<number>(rows).fill(most)];
            if (cache.bytesFor(lengths) > mostBytes) continue;
            const joined = take(cache, rows).map((model) => ({ model, most }));
            held.push(...joined);
            feed(joined, count, whole);
          } else if (kind === 'leave') leave(some);
          else if (kind === 'crowd leaves') leave(held.slice(1));
          else if (kind === 'step') for (let i = 0; i < 20; i++) feed(held, 1, whole);
          else if (kind === 'some') feed(some, count, whole);
          else if (kind === 'draft') feed(held, 5, whole);
          else for (let i = 0; i < 3; i++) feed(held.slice(-2), count, whole);
          check();
        }
        feed(held, 1, false);
      }),
      { numRuns: 300 },
    );
  });

  test('is not filled with holes: they are cut when long sequences come after a crowd', () => {
    const bound = new KvCache(SHAPE).bytesFor([10, 2048, 2048]);
    const cache = new KvCache(SHAPE, { mostBytes: bound });
    const crowd = take(cache, 32);
    run(
      cache,
      crowd.map((model) => ({ model, count: 1 })),
    );
    for (const { slot } of crowd.slice(1)) cache.release(slot);
    const long = take(cache, 2);
    cache.reserve(2048);
    expect([cache.slotCount, cache.bytes]).toEqual([3, bound]);
    run(
      cache,
      [crowd[0]!, ...long].map((model) => ({ model, count: 2 })),
    );
  });

  test('is not filled with positions to spare, but without a bound they are there', () => {
    const bytesAfter = (mostBytes: number) => {
      const cache = new KvCache(SHAPE, { mostBytes });
      const [model] = take(cache, 1) as [Model];
      cache.reserve(1024);
      run(cache, [{ model, count: 1024 }]);
      run(cache, [{ model, count: 1 }]);
      return cache.bytes;
    };
    const bytesFor = (length: number) => new KvCache(SHAPE).bytesFor([length]);
    expect(bytesAfter(bytesFor(1088))).toBe(bytesFor(1088));
    expect(bytesAfter(Infinity)).toBe(bytesFor(1536));
  });
});
