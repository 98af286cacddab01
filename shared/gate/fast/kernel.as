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

/** Tokens in a block. */
const BLOCK: usize = 64;

/** 2^(i/256), rounded correctly. */
const POWERS: usize = memory.data<f64>([
  1.0, 1.0027112750502025, 1.0054299011128027, 1.0081558981184175, 1.0108892860517005,
  1.0136300849514894, 1.016378314910953, 1.019133996077738, 1.0218971486541166, 1.0246677928971357,
  1.0274459491187637, 1.030231637686041, 1.0330248790212284, 1.0358256936019572, 1.0386341019613787,
  1.041450124688316, 1.0442737824274138, 1.0471050958792898, 1.0499440858006872, 1.0527907730046264,
  1.0556451783605572, 1.0585073227945128, 1.061377227289262, 1.0642549128844645, 1.0671404006768237,
  1.0700337118202419, 1.0729348675259756, 1.075843889062791, 1.0787607977571199, 1.0816856149932152,
  1.0846183622133092, 1.0875590609177697, 1.0905077326652577, 1.0934643990728858, 1.0964290818163769,
  1.099401802630222, 1.102382583307841, 1.1053714457017412, 1.1083684117236787, 1.1113735033448175,
  1.1143867425958924, 1.1174081515673693, 1.1204377524096067, 1.12347556733302, 1.1265216186082418,
  1.129575928566288, 1.1326385195987192, 1.1357094141578055, 1.1387886347566916, 1.1418762039695616,
  1.1449721444318042, 1.148076478840179, 1.1511892299529827, 1.154310420590216, 1.1574400736337511,
  1.1605782120274988, 1.1637248587775775, 1.1668800369524817, 1.1700437696832502, 1.1732160801636373,
  1.1763969916502812, 1.1795865274628758, 1.182784710984341, 1.1859915656609938, 1.189207115002721,
  1.1924313825831512, 1.1956643920398273, 1.1989061670743806, 1.202156731452703, 1.2054161090051239,
  1.2086843236265816, 1.2119613992768012, 1.215247359980469, 1.2185422298274085, 1.2218460329727576,
  1.2251587936371455, 1.22848053610687, 1.2318112847340759, 1.2351510639369334, 1.2384998981998165,
  1.241857812073484, 1.245224830175258, 1.2486009771892048, 1.2519862778663162, 1.255380757024691,
  1.2587844395497165, 1.2621973503942507, 1.2656195145788063, 1.2690509571917332, 1.2724917033894028,
  1.275941778396392, 1.2794012075056693, 1.2828700160787783, 1.2863482295460256, 1.2898358734066657,
  1.2933329732290895, 1.2968395546510096, 1.3003556433796506, 1.3038812651919358, 1.3074164459346773,
  1.3109612115247644, 1.3145155879493546, 1.318079601266064, 1.3216532776031575, 1.3252366431597413,
  1.3288297242059544, 1.3324325470831615, 1.3360451382041458, 1.339667524053303, 1.3432997311868353,
  1.3469417862329458, 1.3505937158920345, 1.3542555469368927, 1.3579273062129011, 1.3616090206382248,
  1.365300717204012, 1.3690024229745905, 1.3727141650876684, 1.3764359707545302, 1.380167867260238,
  1.383909881963832, 1.387662042298529, 1.3914243757719262, 1.3951969099662003, 1.3989796725383112,
  1.4027726912202048, 1.4065759938190154, 1.4103896082172707, 1.4142135623730951, 1.4180478843204152,
  1.4218926021691656, 1.4257477441054942, 1.42961333839197, 1.433489413367789, 1.4373759974489824,
  1.4412731191286257, 1.4451808069770467, 1.449099089642035, 1.4530279958490526, 1.4569675544014438,
  1.460917794180647, 1.4648787441464057, 1.4688504333369818, 1.4728328908693675, 1.4768261459394993,
  1.4808302278224719, 1.4848451658727524, 1.488870989524397, 1.4929077282912648, 1.4969554117672355,
  1.5010140696264256, 1.5050837316234065, 1.5091644275934228, 1.5132561874526098, 1.5173590411982147,
  1.5214730189088146, 1.5255981507445384, 1.529734466947287, 1.533881997840956, 1.5380407738316568,
  1.5422108254079407, 1.5463921831410214, 1.550584877685, 1.5547889397770887, 1.559004400237837,
  1.5632312899713576, 1.567469639965553, 1.5717194812923414, 1.5759808451078865, 1.5802537626528246,
  1.5845382652524937, 1.588834384317164, 1.593142151342267, 1.597461597908627, 1.6017927556826934,
  1.606135656416771, 1.6104903319492543, 1.6148568142048607, 1.6192351351948637, 1.6236253270173289,
  1.6280274218573478, 1.632441451987275, 1.6368674497669644, 1.6413054476440063, 1.645755478153965,
  1.6502175739206177, 1.6546917676561943, 1.6591780921616162, 1.6636765803267364, 1.6681872651305825,
  1.6727101796415966, 1.6772453570178785, 1.681792830507429, 1.6863526334483934, 1.6909247992693053,
  1.6955093614893326, 1.7001063537185235, 1.7047158096580513, 1.709337763100463, 1.713972247929926,
  1.718619298122478, 1.723278947746274, 1.7279512309618377, 1.732636182022311, 1.7373338352737062,
  1.7420442251551564, 1.746767386199169, 1.7515033530318782, 1.7562521603732995, 1.761013843037584,
  1.7657884359332727, 1.7705759740635547, 1.7753764925265212, 1.7801900265154245, 1.785016611318935,
  1.789856282321401, 1.7947090750031072, 1.7995750249405351, 1.804454167806624, 1.809346539371032,
  1.8142521755003989, 1.8191711121586085, 1.8241033854070534, 1.8290490314048973, 1.8340080864093424,
  1.8389805867758937, 1.843966568958626, 1.8489660695104508, 1.8539791250833855, 1.8590057724288205,
  1.864046048397789, 1.8690999899412386, 1.8741676341103, 1.8792490180565602, 1.8843441790323345,
  1.8894531543909392, 1.8945759815869656, 1.8997126981765553, 1.9048633418176741, 1.9100279502703899,
  1.9152065613971474, 1.9203992131630474, 1.925605943636125, 1.930826790987627, 1.9360617934922943,
  1.9413109895286405, 1.9465744175792332, 1.9518521162309783, 1.9571441241754002, 1.9624504802089273,
  1.9677712232331759, 1.9731063922552343, 1.978456026387951, 1.9838201648502194, 1.9891988469672663,
  1.9945921121709402
], 16);

/** 1.5 * 2^52: adding it rounds to a whole number, which is then in the lowest bits. */
const ROUNDER: usize = memory.data<f64>([6755399441055744.0, 6755399441055744.0], 16);
/** 256ths of a power of two below which an exponential counts as 0: the smallest normal double. */
const LEAST: usize = memory.data<f64>([-261632.0, -261632.0], 16);
/** Coefficients of 2^(f/256) = 1 + f*C1 + f^2*C2 + ..., (ln 2 / 256)^k / k!. */
const C1: usize = memory.data<f64>([0.0027076061740622863, 0.0027076061740622863], 16);
const C2: usize = memory.data<f64>([3.6655655969101062e-06, 3.6655655969101062e-06], 16);
const C3: usize = memory.data<f64>([3.3083026805413713e-09, 3.3083026805413713e-09], 16);
const C4: usize = memory.data<f64>([2.239395190875157e-12, 2.239395190875157e-12], 16);
const WHOLE: usize = memory.data<i64>([-256, -256], 16);
/** 256 / ln 2: from nats to 256ths of a power of two. */
const PER_NAT: f64 = 369.3299304675746;

/** The first byte that the caller may use. */
export function heapBase(): usize {
  return __heap_base;
}

/**
 * 2^(y/256) for two numbers at most 0 or a little above: a table for the whole 256ths, a
 * polynomial of degree 4 for the rest, which is at most half. The remainder y - round(y) is exact,
 * so the only errors are the table's, the polynomial's (3e-17) and four roundings.
 */
@inline
function power(y: v128): v128 {
  const t = f64x2.add(y, v128.load(ROUNDER));
  const f = f64x2.sub(y, f64x2.sub(t, v128.load(ROUNDER)));
  const place0 = <usize>(i32x4.extract_lane(t, 0) & 255) << 3;
  const place1 = <usize>(i32x4.extract_lane(t, 2) & 255) << 3;
  const base = v128.load64_lane(POWERS + place1, v128.load64_zero(POWERS + place0), 1);
  const f2 = f64x2.mul(f, f);
  const upper = f64x2.add(
    f64x2.add(v128.load(C2), f64x2.mul(f, v128.load(C3))),
    f64x2.mul(f2, v128.load(C4)),
  );
  const p = f64x2.add(f64x2.mul(f, v128.load(C1)), f64x2.mul(f2, upper));
  const mantissa = f64x2.add(base, f64x2.mul(base, p));
  const exponent = i64x2.shl(v128.and(t, v128.load(WHOLE)), 44);
  // The comparison also turns NaN (-Infinity - -Infinity) into a mass of 0.
  return v128.and(i64x2.add(mantissa, exponent), f64x2.ge(y, v128.load(LEAST)));
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
      const a = power(f64x2.mul(f64x2.sub(low(v), m), k));
      const b = power(f64x2.mul(f64x2.sub(high(v), m), k));
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

/** out[i] = exp((x[i] - mostX) * scaleX + (y[i] - mostY) * scaleY) */
export function mixedMasses(
  x: usize, y: usize, out: usize, sums: usize, tops: usize, blocks: usize,
  mostX: f64, mostY: f64, scaleX: f64, scaleY: f64,
): void {
  const mx = f64x2.splat(mostX);
  const my = f64x2.splat(mostY);
  const kx = f64x2.splat(scaleX * PER_NAT);
  const ky = f64x2.splat(scaleY * PER_NAT);
  for (const end = sums + (blocks << 3); sums < end; sums += 8, tops += 8) {
    let sum0 = f64x2.splat(0);
    let sum1 = sum0;
    let top = sum0;
    for (const stop = x + BLOCK * 4; x < stop; x += 16, y += 16, out += 32) {
      const v = v128.load(x);
      const w = v128.load(y);
      const a = power(f64x2.add(f64x2.mul(f64x2.sub(low(v), mx), kx), f64x2.mul(f64x2.sub(low(w), my), ky)));
      const b = power(f64x2.add(f64x2.mul(f64x2.sub(high(v), mx), kx), f64x2.mul(f64x2.sub(high(w), my), ky)));
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
    const y = power(f64x2.mul(logarithm(x), k));
    v128.store(row, v128.and(y, f64x2.ge(x, v128.load(SMALLEST))));
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
 * not, and of r where it does.
 *
 * @returns where it does, how often
 */
export function split(
  m: usize, r: usize, free: usize, capped: usize, blocks: usize, a: f64, b: f64,
): i32 {
  const ka = f64x2.splat(a);
  const kb = f64x2.splat(b);
  let count = i64x2.splat(0);
  for (const end = free + (blocks << 3); free < end; free += 8, capped += 8) {
    let free0 = f64x2.splat(0);
    let free1 = free0;
    let capped0 = free0;
    let capped1 = free0;
    for (const stop = m + BLOCK * 8; m < stop; m += 32, r += 32) {
      const m0 = v128.load(m);
      const m1 = v128.load(m, 16);
      const r0 = v128.load(r);
      const r1 = v128.load(r, 16);
      const over0 = f64x2.gt(f64x2.mul(m0, ka), f64x2.mul(r0, kb));
      const over1 = f64x2.gt(f64x2.mul(m1, ka), f64x2.mul(r1, kb));
      free0 = f64x2.add(free0, v128.andnot(m0, over0));
      free1 = f64x2.add(free1, v128.andnot(m1, over1));
      capped0 = f64x2.add(capped0, v128.and(r0, over0));
      capped1 = f64x2.add(capped1, v128.and(r1, over1));
      count = i64x2.sub(count, i64x2.add(over0, over1));
    }
    store<f64>(free, sumOf(f64x2.add(free0, free1)));
    store<f64>(capped, sumOf(f64x2.add(capped0, capped1)));
  }
  return <i32>(i64x2.extract_lane(count, 0) + i64x2.extract_lane(count, 1));
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

/** As above, for four float32 numbers: 1.5 * 2^23, and the powers of two that count as 0. */
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
  return v128.and(i32x4.add(mantissa, i32x4.shl(t, 23)), f32x4.ge(y, v128.load(LEAST_F32)));
}

/**
 * sum exp(x[i] - most), good to about seven digits: as many as the float32 logits have. The terms
 * are float32, their sum is float64. It is only reported; nothing is drawn by it.
 */
export function roughSum(x: usize, blocks: usize, most: f32): f64 {
  const m = f32x4.splat(most);
  let sum0 = f64x2.splat(0);
  let sum1 = sum0;
  for (const end = x + blocks * BLOCK * 4; x < end; x += 32) {
    const a = powerF32(f32x4.mul(f32x4.sub(v128.load(x), m), v128.load(LOG2E_F32)));
    const b = powerF32(f32x4.mul(f32x4.sub(v128.load(x, 16), m), v128.load(LOG2E_F32)));
    const both = f32x4.add(a, b);
    sum0 = f64x2.add(sum0, low(both));
    sum1 = f64x2.add(sum1, high(both));
  }
  return sumOf(f64x2.add(sum0, sum1));
}
