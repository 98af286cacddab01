/**
 * Random inputs for the gate, for fast-check: ordinary ones, and the masks, ties and extremes where
 * bugs hide.
 */
import * as fc from 'fast-check';
import { RULES } from '#shared/line/line.ts';
import { type DrawKey, seedKey } from '../draw-key.ts';
import type { GatePolicy, SamplingParams } from '../gate-types.ts';

/** Sixty-fourths, so that Float32 holds them and their sums exactly. Ties are frequent. */
const logit = fc.integer({ min: -512, max: 512 }).map((n) => n / 64);

/** A row of logits with some tokens masked, but never all. */
export const logitsOf = (size: number, { masks = true } = {}) =>
  fc
    .array(
      masks ? fc.oneof({ weight: 7, arbitrary: logit }, { weight: 1, arbitrary: fc.constant(-Infinity) }) : logit,
      {
        minLength: size,
        maxLength: size,
      },
    )
    .filter((row) => row.some(Number.isFinite))
    .map((row) => Float32Array.from(row));

/** Two rows over the same vocabulary. */
export const rows = (options?: { masks?: boolean }) =>
  fc
    .integer({ min: 1, max: 12 })
    .chain((size) => fc.record({ safetyLogits: logitsOf(size, options), helpfulLogits: logitsOf(size, options) }));

/**
 * A share, often 0 or 1. Shares next to 0 have their own tests, because the oracle's powers
 * underflow there.
 */
export const share = fc.oneof(
  { weight: 6, arbitrary: fc.double({ min: 1e-9, max: 1, noNaN: true }) },
  { weight: 1, arbitrary: fc.constantFrom(0, 1) },
);

export const insideShare = fc.double({ min: 1e-6, max: 1 - 1e-6, noNaN: true });

export const rule = fc.constantFrom(...RULES);

export const finiteBudget = fc.oneof(
  { weight: 5, arbitrary: fc.double({ min: 0, max: 4, noNaN: true }) },
  { weight: 1, arbitrary: fc.constantFrom(0, 1e-12, 50, 1e6) },
);

const earning = fc.oneof(
  { weight: 4, arbitrary: fc.double({ min: 0, max: 1, noNaN: true }) },
  { weight: 1, arbitrary: fc.constantFrom(0, 1e-12, 1e300) },
);

const earned = fc.record({ start: earning, rate: earning });

export const policy: fc.Arbitrary<GatePolicy> = fc.record({
  floor: share,
  ceiling: share,
  opening: fc.record({ tokens: fc.integer({ min: 0, max: 6 }), floor: share }),
  rule,
  budget: fc.oneof({ weight: 3, arbitrary: finiteBudget }, { weight: 1, arbitrary: fc.constant(null) }),
  earned: fc.oneof({ weight: 1, arbitrary: earned }, { weight: 2, arbitrary: fc.constant(null) }),
});

const word = fc.integer({ min: 0, max: 2 ** 32 - 1 });

/** Keys of both kinds: from a secret, and from a seed. */
export const key: fc.Arbitrary<DrawKey> = fc.oneof(fc.tuple(word, word, word, word), fc.maxSafeInteger().map(seedKey));

/**
 * Top-p avoids the round numbers that sums of tied probabilities hit. There, rounding would decide.
 */
export const sampling: fc.Arbitrary<SamplingParams & { topP: number }> = fc.record({
  temperature: fc.constantFrom(0.3, 0.7, 1, 1, 1.7),
  topP: fc.constantFrom(1, 1, 0.911, 0.637, 0.1234),
  topK: fc.constantFrom(0, 0, 0, 0, 0, 1, 3, 7),
  minP: fc.constantFrom(0, 0, 0, 0, 0.0123, 0.217, 1),
  key,
});

/**
 * A bias for a few tokens, bans included. Never for token 0, so that a row of one token is not
 * banned. The values avoid sixty-fourths. Otherwise they would tie tokens except for rounding, and
 * the oracle rounds differently.
 */
export const bias = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 12 }), fc.constantFrom(-Infinity, -2.503, -0.302, 0.41, 3.01)), {
    maxLength: 4,
  })
  .map((entries) => new Map(entries));

/**
 * A mask of a few tokens, some of them beyond the vocabulary. Like the bias, it never names token
 * 0.
 */
export const mask = fc
  .array(fc.integer({ min: 1, max: 14 }), { maxLength: 4 })
  .map((tokens) => new Set(tokens) as ReadonlySet<number>);

/** Allowed tokens as bits. Token 0 is among them, and often most others. */
const allowed = fc
  .oneof(
    fc.constant(new Uint32Array(0)),
    fc.integer({ min: 0, max: 2 ** 13 - 1 }).map((bits) => Uint32Array.of(bits | 1)),
  )
  .map((words) => (words.length > 0 ? { allowed: words } : {}));

/** Factors of a repetition penalty, off the values that would tie tokens. Never for token 0. */
const scale = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 12 }), fc.constantFrom(0.713, 1.103, 1.517)), { maxLength: 3 })
  .map((entries) => new Map(entries));

/** Sampling with masks, a repetition penalty and a bias. */
export const wishes = fc
  .tuple(sampling, mask, allowed, scale, bias)
  .map(([shape, mask, allowed, scale, bias]) => ({ ...shape, mask, ...allowed, scale, bias }));

/** Whether the masks leave the safety expert a token. If not, the gate throws. */
export const leavesToken = (
  safetyLogits: Float32Array,
  { mask, allowed }: Pick<SamplingParams, 'mask' | 'allowed'>,
): boolean => safetyLogits.some((x, i) => x > -Infinity && !mask?.has(i) && (!allowed || (allowed[0]! >> i) & 1));

/**
 * Logits that strain the arithmetic: up to about 1e6 apart or right next to each other, tied or
 * masked, with log-probabilities of any size.
 */
export const extremeLogits = (size: number) => {
  const scaled = fc
    .tuple(fc.double({ min: -1, max: 1, noNaN: true }), fc.constantFrom(1e-9, 1, 30, 800, 1e4, 1e6))
    .map(([x, scale]) => x * scale);
  const round = fc.integer({ min: -4, max: 4 }).map((n) => 500 * n);
  return fc
    .array(fc.oneof({ weight: 5, arbitrary: scaled }, { weight: 2, arbitrary: round }, fc.constant(-Infinity)), {
      minLength: size,
      maxLength: size,
    })
    .filter((row) => row.some(Number.isFinite))
    .map((row) => Float32Array.from(row));
};

export const extremeRows = fc
  .integer({ min: 1, max: 12 })
  .chain((size) => fc.record({ safetyLogits: extremeLogits(size), helpfulLogits: extremeLogits(size) }));

export const extremeTemperature = fc.constantFrom(1e-250, 1e-4, 0.02, 0.3, 1, 2);

/** Nats left, from less than a rounding step to more than any exponential holds. */
export const extremeNats = fc.oneof(
  fc.constantFrom(1e-300, 1e-15, 1e-9, 1e-3, Math.log(1.2), 2, 20, 700, 1e4, 1e300),
  fc.double({ min: 0, max: 6, noNaN: true }),
);
