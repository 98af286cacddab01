/**
 * The gate's loops over a whole vocabulary, in AssemblyScript: two float64 numbers at a time, and
 * four where float32 will do. What each step means is in the TypeScript around it; here are only
 * sums, maxima and exponentials. `kernel-bytes.ts` holds the result of compiling this file:
 * testing/build-kernel.ts writes it, and a test compiles it again.
 *
 * Rows are in blocks of 64 tokens. Each row of masses has the sum and the largest mass of every
 * block beside it, so that a draw or a cut need not look at most of the row. Rows of logits are
 * padded with -Infinity, so padding has no mass. Every sum is made in an order that depends on
 * nothing but the length of the row.
 *
 * V8 builds a vector constant anew wherever it is used, which takes as long as the arithmetic.
 * Loading it from memory does not. So constants are in memory, twice or four times each.
 */

// Made by testing/table-of-powers.ts.
import { POWERS } from './table-of-powers';

/** Tokens in a block. */
const BLOCK: usize = 64;

/** 1.5 * 2^52: adding it rounds to a whole number, which is then in the lowest bits. */
const ROUNDER: usize = memory.data<f64>([6755399441055744.0, 6755399441055744.0], 16);
/** 2048ths of a power of two below which an exponential counts as 0: the smallest normal double. */
const LEAST: usize = memory.data<f64>([-2093056.0, -2093056.0], 16);
/**
 * Coefficients of 2^(f/2048) = 1 + f*C1 + f^2*C2 + f^3*C3 for f from -1/2 to 1/2, off by 6e-18 at
 * most: (ln 2 / 2048)^k / k!, where C2 also has the part of the next term that f^2 can carry,
 * (2 sqrt 2 - 2) / 4 of its coefficient.
 */
const C1: usize = memory.data<f64>([0.0003384507717577858, 0.0003384507717577858], 16);
const C2: usize = memory.data<f64>([5.727446256495135e-08, 5.727446256495135e-08], 16);
const C3: usize = memory.data<f64>([6.461528672932366e-12, 6.461528672932366e-12], 16);
/** Eight times the lowest eleven bits: a place in the table. */
const PLACE: usize = memory.data<i32>([16376, 16376, 16376, 16376], 16);
/** Places in the table, on their way from vectors to addresses. */
const PLACES: usize = memory.data<i64>([0, 0, 0, 0], 16);
/** 2048 / ln 2: from nats to 2048ths of a power of two. */
const PER_NAT: f64 = 2954.639443740597;

/** The first byte that the caller may use. */
export function heapBase(): usize {
  return __heap_base;
}

/** A number rounded to a whole one, which is then in the lowest bits. */
@inline
function rounded(y: v128): v128 {
  return f64x2.add(y, v128.load(ROUNDER));
}

/**
 * Notes where in the table two pairs of rounded numbers find their powers, for `power`. Through
 * memory this takes fewer instructions than number by number.
 */
@inline
function notePlaces(t0: v128, t1: v128, note: usize): void {
  const lowest = i8x16.shuffle(t0, t1, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
  v128.store(PLACES + note, v128.and(i32x4.shl(lowest, 3), v128.load(PLACE)));
}

/**
 * 2^(y/2048) for two numbers at most 0 or a little above: a table for the whole 2048ths, a
 * polynomial of degree 3 for the rest, which is at most half. The remainder y - round(y) is exact,
 * so the only errors are the table's, the polynomial's and four roundings.
 *
 * @param t y rounded
 * @param note where `notePlaces` noted the places for it
 */
@inline
function power(y: v128, t: v128, note: usize): v128 {
  const f = f64x2.sub(y, f64x2.sub(t, v128.load(ROUNDER)));
  const first = v128.load64_zero(POWERS + load<u32>(PLACES + note));
  const both = v128.load64_lane(POWERS + load<u32>(PLACES + note + 4), first, 1);
  const base = i64x2.add(both, i64x2.shl(t, 41));
  const upper = f64x2.add(v128.load(C2), f64x2.mul(f, v128.load(C3)));
  const p = f64x2.mul(f, f64x2.add(v128.load(C1), f64x2.mul(f, upper)));
  // The comparison also turns NaN (-Infinity - -Infinity) into a mass of 0.
  return v128.and(f64x2.add(base, f64x2.mul(base, p)), f64x2.ge(y, v128.load(LEAST)));
}

/** The first two of four float32 numbers as float64. */
@inline
function low(x: v128): v128 {
  return f64x2.promote_low_f32x4(x);
}

/** The last two. */
@inline
function high(x: v128): v128 {
  return f64x2.promote_low_f32x4(i8x16.shuffle(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
}

@inline
function sumOf(x: v128): f64 {
  return f64x2.extract_lane(x, 0) + f64x2.extract_lane(x, 1);
}

@inline
function largestOf(x: v128): f64 {
  return max(f64x2.extract_lane(x, 0), f64x2.extract_lane(x, 1));
}

/** The largest logit. NaN if any is NaN. */
export function largest(x: usize, blocks: usize): f32 {
  let a = v128.load(x);
  let b = a;
  let broken = f32x4.ne(a, a);
  for (let end = x + blocks * BLOCK * 4; x < end; x += 32) {
    const u = v128.load(x);
    const v = v128.load(x, 16);
    a = f32x4.pmax(a, u);
    b = f32x4.pmax(b, v);
    broken = v128.or(broken, v128.or(f32x4.ne(u, u), f32x4.ne(v, v)));
  }
  if (v128.any_true(broken)) return NaN;
  const m = f32x4.pmax(a, b);
  return max(
    max(f32x4.extract_lane(m, 0), f32x4.extract_lane(m, 1)),
    max(f32x4.extract_lane(m, 2), f32x4.extract_lane(m, 3)),
  );
}

/** out[i] = exp((x[i] - most) * scale) */
export function masses(
  x: usize, out: usize, sums: usize, tops: usize, blocks: usize, most: f64, scale: f64,
): void {
  const m = f64x2.splat(most);
  const k = f64x2.splat(scale * PER_NAT);
  for (const end = sums + (blocks << 3); sums < end; sums += 8, tops += 8) {
    let sum0 = f64x2.splat(0);
    let sum1 = sum0;
    let top = sum0;
    for (const stop = x + BLOCK * 4; x < stop; x += 16, out += 32) {
      const v = v128.load(x);
      const y0 = f64x2.mul(f64x2.sub(low(v), m), k);
      const y1 = f64x2.mul(f64x2.sub(high(v), m), k);
      const t0 = rounded(y0);
      const t1 = rounded(y1);
      notePlaces(t0, t1, 0);
      const a = power(y0, t0, 0);
      const b = power(y1, t1, 8);
      v128.store(out, a);
      v128.store(out, b, 16);
      sum0 = f64x2.add(sum0, a);
      sum1 = f64x2.add(sum1, b);
      top = f64x2.pmax(top, f64x2.pmax(a, b));
    }
    store<f64>(sums, sumOf(f64x2.add(sum0, sum1)));
    store<f64>(tops, largestOf(top));
  }
}

/**
 * The masses of two rows at once, of which each entry is read once:
 *
 *     outX[i] = exp((x[i] - mostX) * scaleX)
 *     out[i] = exp((x[i] - mostX) * partX + (y[i] - mostY) * partY)
 */
export function twoMasses(
  x: usize, y: usize, outX: usize, sumsX: usize, topsX: usize, out: usize, sums: usize, tops: usize,
  blocks: usize, mostX: f64, mostY: f64, scaleX: f64, partX: f64, partY: f64,
): void {
  const mx = f64x2.splat(mostX);
  const my = f64x2.splat(mostY);
  const k = f64x2.splat(scaleX * PER_NAT);
  const kx = f64x2.splat(partX * PER_NAT);
  const ky = f64x2.splat(partY * PER_NAT);
  for (
    const end = sums + (blocks << 3);
    sums < end;
    sums += 8, tops += 8, sumsX += 8, topsX += 8
  ) {
    let sumX = f64x2.splat(0);
    let sum = sumX;
    let topX = sumX;
    let top = sumX;
    for (const stop = x + BLOCK * 4; x < stop; x += 16, y += 16, outX += 32, out += 32) {
      const v = v128.load(x);
      const w = v128.load(y);
      const v0 = f64x2.sub(low(v), mx);
      const v1 = f64x2.sub(high(v), mx);
      const y0 = f64x2.mul(v0, k);
      const y1 = f64x2.mul(v1, k);
      const t0 = rounded(y0);
      const t1 = rounded(y1);
      notePlaces(t0, t1, 0);
      const y2 = f64x2.add(f64x2.mul(v0, kx), f64x2.mul(f64x2.sub(low(w), my), ky));
      const y3 = f64x2.add(f64x2.mul(v1, kx), f64x2.mul(f64x2.sub(high(w), my), ky));
      const t2 = rounded(y2);
      const t3 = rounded(y3);
      notePlaces(t2, t3, 16);
      const a = power(y0, t0, 0);
      const b = power(y1, t1, 8);
      const c = power(y2, t2, 16);
      const d = power(y3, t3, 24);
      v128.store(outX, a);
      v128.store(outX, b, 16);
      v128.store(out, c);
      v128.store(out, d, 16);
      sumX = f64x2.add(sumX, f64x2.add(a, b));
      sum = f64x2.add(sum, f64x2.add(c, d));
      topX = f64x2.pmax(topX, f64x2.pmax(a, b));
      top = f64x2.pmax(top, f64x2.pmax(c, d));
    }
    store<f64>(sumsX, sumOf(sumX));
    store<f64>(topsX, largestOf(topX));
    store<f64>(sums, sumOf(sum));
    store<f64>(tops, largestOf(top));
  }
}

/** The sum and the largest of each block. */
export function measure(row: usize, sums: usize, tops: usize, blocks: usize): void {
  for (const end = sums + (blocks << 3); sums < end; sums += 8, tops += 8) {
    let sum0 = f64x2.splat(0);
    let sum1 = sum0;
    let top = sum0;
    for (const stop = row + BLOCK * 8; row < stop; row += 32) {
      const a = v128.load(row);
      const b = v128.load(row, 16);
      sum0 = f64x2.add(sum0, a);
      sum1 = f64x2.add(sum1, b);
      top = f64x2.pmax(top, f64x2.pmax(a, b));
    }
    store<f64>(sums, sumOf(f64x2.add(sum0, sum1)));
    store<f64>(tops, largestOf(top));
  }
}

/** row[i] = a * other[i] + b * row[i] */
export function blend(row: usize, other: usize, blocks: usize, a: f64, b: f64): void {
  const ka = f64x2.splat(a);
  const kb = f64x2.splat(b);
  for (const end = row + blocks * BLOCK * 8; row < end; row += 16, other += 16) {
    v128.store(row, f64x2.add(f64x2.mul(ka, v128.load(other)), f64x2.mul(kb, v128.load(row))));
  }
}

/** fdlibm's coefficients of log((1 + s) / (1 - s)), e_log.c. */
const L1: usize = memory.data<f64>([6.666666666666735130e-1, 6.666666666666735130e-1], 16);
const L2: usize = memory.data<f64>([3.999999999940941908e-1, 3.999999999940941908e-1], 16);
const L3: usize = memory.data<f64>([2.857142874366239149e-1, 2.857142874366239149e-1], 16);
const L4: usize = memory.data<f64>([2.222219843214978396e-1, 2.222219843214978396e-1], 16);
const L5: usize = memory.data<f64>([1.818357216161805012e-1, 1.818357216161805012e-1], 16);
const L6: usize = memory.data<f64>([1.531383769920937332e-1, 1.531383769920937332e-1], 16);
const L7: usize = memory.data<f64>([1.479819860511658591e-1, 1.479819860511658591e-1], 16);
/** ln 2 in two parts: the upper one times any exponent is exact. */
const LN2_HIGH: usize = memory.data<f64>([6.93147180369123816490e-1, 6.93147180369123816490e-1], 16);
const LN2_LOW: usize = memory.data<f64>([1.90821492927058770002e-10, 1.90821492927058770002e-10], 16);
const HALF: usize = memory.data<f64>([0.5, 0.5], 16);
const ONE: usize = memory.data<f64>([1, 1], 16);
const TWO: usize = memory.data<f64>([2, 2], 16);
/** The bits of sqrt(1/2). */
const ROOT: usize = memory.data<i64>([0x3fe6a09e667f3bcd, 0x3fe6a09e667f3bcd], 16);
const SMALLEST: usize = memory.data<f64>([2.2250738585072014e-308, 2.2250738585072014e-308], 16);

/** Natural logarithms of positive normal numbers, after fdlibm. */
@inline
function logarithm(x: v128): v128 {
  // x = 2^k * m, with m from sqrt(1/2) to sqrt(2)
  const k = i64x2.shr_s(i64x2.sub(x, v128.load(ROOT)), 52);
  const m = i64x2.sub(x, i64x2.shl(k, 52));
  const whole = f64x2.sub(i64x2.add(k, v128.load(ROUNDER)), v128.load(ROUNDER));
  const f = f64x2.sub(m, v128.load(ONE));
  const s = f64x2.div(f, f64x2.add(v128.load(TWO), f));
  const z = f64x2.mul(s, s);
  let r = f64x2.add(v128.load(L6), f64x2.mul(z, v128.load(L7)));
  r = f64x2.add(v128.load(L5), f64x2.mul(z, r));
  r = f64x2.add(v128.load(L4), f64x2.mul(z, r));
  r = f64x2.add(v128.load(L3), f64x2.mul(z, r));
  r = f64x2.add(v128.load(L2), f64x2.mul(z, r));
  r = f64x2.add(v128.load(L1), f64x2.mul(z, r));
  r = f64x2.mul(z, r);
  const half = f64x2.mul(f64x2.mul(v128.load(HALF), f), f);
  const lower = f64x2.add(f64x2.mul(s, f64x2.add(half, r)), f64x2.mul(whole, v128.load(LN2_LOW)));
  return f64x2.add(f64x2.mul(whole, v128.load(LN2_HIGH)), f64x2.sub(f, f64x2.sub(half, lower)));
}

/** row[i] = (row[i] / top)^scale. What is too small for a normal number becomes 0. */
export function heat(row: usize, blocks: usize, top: f64, scale: f64): void {
  const t = f64x2.splat(1 / top);
  const k = f64x2.splat(scale * PER_NAT);
  for (const end = row + blocks * BLOCK * 8; row < end; row += 16) {
    const x = f64x2.mul(v128.load(row), t);
    const y = f64x2.mul(logarithm(x), k);
    const t = rounded(y);
    notePlaces(t, t, 0);
    v128.store(row, v128.and(power(y, t, 0), f64x2.ge(x, v128.load(SMALLEST))));
  }
}

/** Masks of two lanes, for the four values of two bits. */
const LANES: usize = memory.data<i64>([0, 0, -1, 0, 0, -1, -1, -1], 16);

/** Takes away the mass of every token whose bit is 0. Measures the blocks that it changes. */
export function allow(row: usize, sums: usize, tops: usize, blocks: usize, words: usize): void {
  for (
    const end = sums + (blocks << 3);
    sums < end;
    sums += 8, tops += 8, words += 8, row += BLOCK * 8
  ) {
    let bits = load<u64>(words);
    if (bits == u64.MAX_VALUE) continue;
    for (let at: usize = 0; at < BLOCK * 8; at += 16, bits >>= 2) {
      v128.store(row + at, v128.and(v128.load(row + at), v128.load(LANES + (<usize>(bits & 3) << 4))));
    }
    measure(row, sums, tops, 1);
  }
}

/**
 * Splits the tokens by whether a * m[i] exceeds b * r[i]. Per block: the sum of m where it does
 * not, the sum of r where it does, and how often it does.
 *
 * @returns how often it does in all blocks
 */
export function split(
  m: usize, r: usize, free: usize, capped: usize, over: usize, blocks: usize, a: f64, b: f64,
): i32 {
  const ka = f64x2.splat(a);
  const kb = f64x2.splat(b);
  let total: i32 = 0;
  for (
    const end = free + (blocks << 3);
    free < end;
    free += 8, capped += 8, over += 4, m += BLOCK * 8, r += BLOCK * 8
  ) {
    total += splitBlock(m, r, free, capped, over, ka, kb, kb, 0);
  }
  return total;
}

/**
 * The same, and notes per block whether that changes for any token if a rises to `until`. With
 * `all` false, it does only the blocks for which the last split noted so.
 */
export function splitAgain(
  m: usize, r: usize, free: usize, capped: usize, over: usize, moving: usize, blocks: usize,
  a: f64, b: f64, until: f64, all: bool,
): i32 {
  const ka = f64x2.splat(a);
  const kb = f64x2.splat(b);
  const ku = f64x2.splat(until);
  let total: i32 = 0;
  for (
    const end = free + (blocks << 3);
    free < end;
    free += 8, capped += 8, over += 4, moving += 4, m += BLOCK * 8, r += BLOCK * 8
  ) {
    total +=
      all || load<i32>(moving)
        ? splitBlock(m, r, free, capped, over, ka, kb, ku, moving)
        : load<i32>(over);
  }
  return total;
}

/** One block. `moving` is where to note whether it would change, or 0. */
@inline
function splitBlock(
  m: usize, r: usize, free: usize, capped: usize, over: usize, ka: v128, kb: v128, ku: v128,
  moving: usize,
): i32 {
  let free0 = f64x2.splat(0);
  let free1 = free0;
  let capped0 = free0;
  let capped1 = free0;
  let counts = free0;
  let moves = free0;
  for (let at: usize = 0; at < BLOCK * 8; at += 32) {
    const m0 = v128.load(m + at);
    const m1 = v128.load(m + at, 16);
    const r0 = v128.load(r + at);
    const r1 = v128.load(r + at, 16);
    const cap0 = f64x2.mul(r0, kb);
    const cap1 = f64x2.mul(r1, kb);
    const over0 = f64x2.gt(f64x2.mul(m0, ka), cap0);
    const over1 = f64x2.gt(f64x2.mul(m1, ka), cap1);
    if (moving) {
      moves = v128.or(moves, v128.xor(over0, f64x2.gt(f64x2.mul(m0, ku), cap0)));
      moves = v128.or(moves, v128.xor(over1, f64x2.gt(f64x2.mul(m1, ku), cap1)));
    }
    free0 = f64x2.add(free0, v128.andnot(m0, over0));
    free1 = f64x2.add(free1, v128.andnot(m1, over1));
    capped0 = f64x2.add(capped0, v128.and(r0, over0));
    capped1 = f64x2.add(capped1, v128.and(r1, over1));
    counts = i64x2.sub(counts, i64x2.add(over0, over1));
  }
  store<f64>(free, sumOf(f64x2.add(free0, free1)));
  store<f64>(capped, sumOf(f64x2.add(capped0, capped1)));
  const count = <i32>(i64x2.extract_lane(counts, 0) + i64x2.extract_lane(counts, 1));
  store<i32>(over, count);
  if (moving) store<i32>(moving, i32(v128.any_true(moves)));
  return count;
}

/**
 * Lists the tokens with a mass of at least `least`, and their masses, in the order of their ids.
 *
 * @returns how many they are
 */
export function collect(
  row: usize, tops: usize, blocks: usize, least: f64, ids: usize, kept: usize,
): i32 {
  let count: usize = 0;
  for (let block: usize = 0; block < blocks; block++) {
    if (load<f64>(tops + (block << 3)) < least) continue;
    const from = block * BLOCK;
    for (let i = from; i < from + BLOCK; i++) {
      const mass = load<f64>(row + (i << 3));
      // Written always and kept only if it counts: a branch here would often be guessed wrong.
      store<i32>(ids + (count << 2), <i32>i);
      store<f64>(kept + (count << 3), mass);
      count += <usize>(mass >= least);
    }
  }
  return <i32>count;
}

/**
 * Per block, the largest mass among tokens whose logit is at least `least` above `most`. -1 if
 * there is no such token.
 */
export function topsWithin(
  row: usize, x: usize, tops: usize, blocks: usize, most: f64, least: f64,
): void {
  const m = f64x2.splat(most);
  const k = f64x2.splat(least);
  const none = f64x2.splat(-1);
  for (const end = tops + (blocks << 3); tops < end; tops += 8) {
    let top = none;
    for (const stop = x + BLOCK * 4; x < stop; x += 16, row += 32) {
      const v = v128.load(x);
      const in0 = f64x2.ge(f64x2.sub(low(v), m), k);
      const in1 = f64x2.ge(f64x2.sub(high(v), m), k);
      top = f64x2.pmax(top, v128.bitselect(v128.load(row), none, in0));
      top = f64x2.pmax(top, v128.bitselect(v128.load(row, 16), none, in1));
    }
    store<f64>(tops, largestOf(top));
  }
}

/** As above, for four float32 numbers: 1.5 * 2^23, and the least power of two. */
const ROUNDER_F32: usize = memory.data<f32>([12582912, 12582912, 12582912, 12582912], 16);
const LEAST_F32: usize = memory.data<f32>([-126, -126, -126, -126], 16);
const LOG2E_F32: usize = memory.data<f32>([1.4426950408889634, 1.4426950408889634, 1.4426950408889634, 1.4426950408889634], 16);
/** 2^f = 1 + f * (D1 + f*D2 + ...) for f from -1/2 to 1/2, fitted; off by 3e-9 at most. */
const D1: usize = memory.data<f32>([0.6931472056821608, 0.6931472056821608, 0.6931472056821608, 0.6931472056821608], 16);
const D2: usize = memory.data<f32>([0.24022648455693185, 0.24022648455693185, 0.24022648455693185, 0.24022648455693185], 16);
const D3: usize = memory.data<f32>([0.055503288051265635, 0.055503288051265635, 0.055503288051265635, 0.055503288051265635], 16);
const D4: usize = memory.data<f32>([0.0096183734854857, 0.0096183734854857, 0.0096183734854857, 0.0096183734854857], 16);
const D5: usize = memory.data<f32>([0.0013399941728575804, 0.0013399941728575804, 0.0013399941728575804, 0.0013399941728575804], 16);
const D6: usize = memory.data<f32>([0.00015370813861698506, 0.00015370813861698506, 0.00015370813861698506, 0.00015370813861698506], 16);
const ONE_F32: usize = memory.data<f32>([1, 1, 1, 1], 16);

@inline
function powerF32(y: v128): v128 {
  const t = f32x4.add(y, v128.load(ROUNDER_F32));
  const f = f32x4.sub(y, f32x4.sub(t, v128.load(ROUNDER_F32)));
  const f2 = f32x4.mul(f, f);
  const a = f32x4.add(v128.load(D1), f32x4.mul(f, v128.load(D2)));
  const b = f32x4.add(v128.load(D3), f32x4.mul(f, v128.load(D4)));
  const c = f32x4.add(v128.load(D5), f32x4.mul(f, v128.load(D6)));
  const p = f32x4.add(a, f32x4.mul(f2, f32x4.add(b, f32x4.mul(f2, c))));
  const mantissa = f32x4.add(v128.load(ONE_F32), f32x4.mul(f, p));
  return i32x4.add(mantissa, i32x4.shl(t, 23));
}

/** exp(x[i] - most) for four entries. What is below 2^-126 counts as that. */
@inline
function termF32(x: usize, most: v128): v128 {
  const y = f32x4.mul(f32x4.sub(v128.load(x), most), v128.load(LOG2E_F32));
  return powerF32(f32x4.pmax(y, v128.load(LEAST_F32)));
}

/**
 * sum exp(x[i] - most), good to about seven digits: as many as the float32 logits have. The terms
 * are float32, their sum is float64. It is only reported; nothing is drawn by it.
 */
export function roughSum(x: usize, blocks: usize, most: f32): f64 {
  const m = f32x4.splat(most);
  let sum0 = f64x2.splat(0);
  let sum1 = sum0;
  for (const end = x + blocks * BLOCK * 4; x < end; x += 64) {
    const ab = f32x4.add(termF32(x, m), termF32(x + 16, m));
    const cd = f32x4.add(termF32(x + 32, m), termF32(x + 48, m));
    const all = f32x4.add(ab, cd);
    sum0 = f64x2.add(sum0, low(all));
    sum1 = f64x2.add(sum1, high(all));
  }
  return sumOf(f64x2.add(sum0, sum1));
}
