/** Steps of the gate at the edge of what numbers hold, for tests. */
import * as fc from 'fast-check';
import { spendingBound } from '../add-spending.ts';
import { seedKey } from '../draw-key.ts';
import { startGate } from '../gate-step.ts';
import type { GatePolicy, GateState, SamplingParams } from '../gate-types.ts';
import { rule } from './arbitraries.ts';
import type { Logits } from './gate-versions.ts';

export type ExtremeInput = Logits & {
  policy: GatePolicy;
  sampling: SamplingParams;
  proposal: number;
  state: GateState;
};

const share = fc.constantFrom(0, 0, Number.MIN_VALUE, 1e-300, 1e-9, 0.31, 0.8, 1 - 2 ** -53, 1);
const some = (most: number) => fc.array(fc.integer({ min: 0, max: most }), { maxLength: 6 });

/** Rows with gaps of every size between their tokens, and some tokens ruled out. */
const rowsOf = (size: number) => {
  const logit = fc
    .tuple(
      fc.noBias(fc.integer({ min: -1e9, max: 1e9 })),
      fc.constantFrom(1e-9, 1, 1, 30, 30, 400, 400, 800, 1e4, 1e30),
    )
    .map(([x, scale]) => (x / 1e9) * scale);
  const row = (of: fc.Arbitrary<number>) =>
    fc.array(of, { minLength: size, maxLength: size }).map((logits) => Float32Array.from(logits));
  const any = row(fc.oneof({ weight: 9, arbitrary: logit }, fc.constant(-Infinity)));
  // One token as likely as all others are not: masked, it leaves a reference of next to nothing.
  const ordinary = row(fc.noBias(fc.integer({ min: -9e9, max: 9e9 })).map((x) => x / 1e9));
  const peaked = fc
    .tuple(ordinary, fc.constantFrom(3, 40, 300, 440, 600, 900))
    .map(([logits, gap]) => logits.map((x, i) => (i === 0 ? gap : x)));
  const either = fc.oneof(any, ordinary, peaked);
  return fc.record({ safetyLogits: either, helpfulLogits: either });
};

const nats = fc.constantFrom(0, 1e-300, 1e-12, 0.0123, 0.71, 3.3, 41.7, 333, 611, 707.3, 745.7, 1.1e4, 1e9, 1e300);

const policies: fc.Arbitrary<GatePolicy> = fc.record({
  floor: fc.constantFrom(0, 0, 0, 1e-300, 0.2),
  ceiling: fc.constantFrom(1, 1, 0.6, 0),
  opening: fc.record({ tokens: fc.integer({ min: 0, max: 3 }), floor: share }),
  rule,
  budget: fc.option(nats, { freq: 6 }),
  earned: fc.option(fc.record({ start: nats, rate: nats }), { freq: 1 }),
});

const samplings = (size: number): fc.Arbitrary<SamplingParams> =>
  fc
    .record({
      temperature: fc.constantFrom(0, 1e-3, 0.05, 0.31, 0.7, 1, 1, 1.7, 30, 1e3),
      topP: fc.constantFrom(1, 1, 0.911, 0.637, 0.1234, 1e-300, 0),
      topK: fc.constantFrom(0, 0, 0, 1, 2, 5),
      minP: fc.constantFrom(0, 0, 0, 0.0123, 0.217, 1e-200, 1e-310),
      key: fc.maxSafeInteger().map(seedKey),
      mask: fc.oneof(
        fc.constant(new Set([0])),
        some(size).map((ids) => new Set(ids)),
      ),
      bits: fc.option(fc.integer({ min: 1, max: 2 ** 12 - 1 }), { freq: 3 }),
      scale: fc.array(fc.tuple(fc.integer({ min: 0, max: size }), fc.constantFrom(1e-300, 0.713, 1.517, 40.3)), {
        maxLength: 2,
      }),
      bias: fc.array(
        fc.tuple(fc.integer({ min: 0, max: size }), fc.constantFrom(-Infinity, -1e30, -31.7, 2.503, 650.3, 1e30)),
        { maxLength: 2 },
      ),
    })
    .map(({ bits, scale, bias, ...rest }) => ({
      ...rest,
      ...(bits !== null && { allowed: new Uint32Array(3).fill(bits) }),
      scale: new Map(scale),
      bias: new Map(bias),
    }));

/** What is spent already: nothing, almost all, all, or more than the bound; or in credit. */
const spentOf = (bound: number | null) =>
  fc.constantFrom(0, 0, 0, -1e6, ...(bound === null ? [] : [1 - 2 ** -53, 1 - 1e-9, 1, 1.5].map((x) => x * bound)));

export const extremeInput: fc.Arbitrary<ExtremeInput> = fc
  .tuple(fc.constantFrom(1, 2, 3, 7, 12, 70), fc.integer({ min: 0, max: 5 }), policies)
  .chain(([size, position, policy]) =>
    fc
      .record({
        rows: rowsOf(size),
        sampling: samplings(size),
        proposal: share,
        spent: spentOf(spendingBound(policy, { position })),
      })
      .map(({ rows, sampling, proposal, spent }) => ({
        ...rows,
        policy,
        sampling,
        proposal,
        state: startGate(position, spent),
      })),
  );
