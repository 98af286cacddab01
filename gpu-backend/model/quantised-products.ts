/**
 * Products with weights that stay in 8 or 4 bits (quantise.ts), on onnxruntime's MatMulNBits.
 *
 * That operator multiplies with `scale * (quant - 8)` for quants of 4 bits, and with 128 in place
 * of 8 for quants of 8 bits. What is missing is one number for each block, `minimum + 8 * scale`,
 * times the sum of the inputs of that block: a product of 1/32 of the size. The operator can take
 * zero points in place of the 8, but only whole ones at full speed, and our minima are not whole.
 *
 * A quant of 8 bits is `16 * high + low`, and for exact products its byte is read as two quants of
 * 4 bits, `low` and `high`, for the inputs `x` and `16 x`. So the bytes of the file serve as they
 * are. The operator's own 8 bits are no alternative there: one step of a model of 135M parameters
 * took 1.8 s on a CPU, because every run unpacks all weights. For fast products they take two
 * thirds of the time.
 *
 * `exact` computes in f32. `fast` rounds the inputs of each product, but not the sums of blocks, to
 * 8 bits (accuracy level 4). With a row or two `fast` takes half the time, and with a whole prompt
 * it takes 1.5 times as long. `mixed` has the better one for each: prompts exact, answers fast. For
 * that it holds quantised weights twice, because onnxruntime packs them in another way for either.
 * (Weights that it may not pack serve both, but then every run unpacks all of them: a prompt of 64
 * tokens of a model of 135M parameters took 0.47 s instead of 0.17 s.)
 */
import type { Value } from '../graph/graph.ts';
import {
  add,
  cast,
  concat,
  floor,
  gather,
  gemm,
  mul,
  reduceSum,
  reshape,
  scale,
  sub,
  unsqueeze,
} from '../graph/ops.ts';
import { BLOCK, type QuantisedPart, type QuantisedType } from './quantise.ts';

export type QuantisedProducts = {
  /** `x [N, in]` times a weight `[out, in]`, plus the bias if given: `[N, out]`. */
  linear(x: Value, name: string, bias: Value | null): Value;
  /** The rows of a table at `ids [N]`: `[N, in]`. Exact in both arithmetics. */
  rows(ids: Value, name: string): Value;
};

export function quantisedProducts({
  typeOf,
  arithmetic,
  parts,
  nibbles,
}: {
  typeOf: (name: string) => QuantisedType;
  arithmetic: 'exact' | 'fast';
  /** The three tensors of a weight: quants uint8, the others f32. */
  parts: (name: string) => Record<QuantisedPart, Value>;
  /** Only for weights in int8: the quants once more, as `[out, 2 * in / 32, 16]`. */
  nibbles: (name: string) => Value;
}): QuantisedProducts {
  /** The sums of blocks by the input's name: queries, keys and values share one. */
  const known = new Map<string, Value>();
  const blockSums = (x: Value) => {
    const sums = known.get(x.name) ?? sumOfBlocks(x);
    known.set(x.name, sums);
    return sums;
  };
  const lowAndHigh = (x: Value) => once(`${x.name} and 16 times`, x, () => interleave(x, scale(x, 16)));
  const once = (name: string, like: Value, make: () => Value) => like.graph.once(name, make);
  return {
    linear(x, name, bias) {
      const type = typeOf(name);
      const { quants, scales, minima } = parts(name);
      const inHalves = type === 'int8' && arithmetic === 'exact';
      const bits = type === 'int4' || inHalves ? 4 : 8;
      const twice = () => once(`${name}.twice`, scales, () => interleave(scales, scales));
      const product = inHalves
        ? matMulBits(lowAndHigh(x), { quants: nibbles(name), scales: twice(), arithmetic, bits })
        : matMulBits(x, { quants, scales, arithmetic, bits });
      const middle = inHalves ? 16 * 8 + 8 : 2 ** (bits - 1);
      const middles = once(`${name}.middles`, scales, () => add(minima, scale(scales, middle)));
      const whole = gemm(blockSums(x), middles, { transB: true, plus: product });
      return bias === null ? whole : add(whole, bias);
    },
    rows(ids, name) {
      const table = parts(name);
      const rowsOf = (part: QuantisedPart) => gather(table[part], ids); // [N, blocks, ...]
      const [quants, scales, minima] = [rowsOf('quants'), rowsOf('scales'), rowsOf('minima')];
      const bytes = cast(quants, 'float');
      const numbers = typeOf(name) === 'int8' ? bytes : unpackPairs(bytes); // [N, blocks, 32]
      const weights = add(mul(numbers, unsqueeze(scales, -1)), unsqueeze(minima, -1));
      return reshape(weights, [0, Number(scales.shape.at(-1)) * BLOCK]);
    },
  };
}

/** `[..., in]` to `[..., in / 32]`. */
function sumOfBlocks(x: Value): Value {
  const blocks = Number(x.shape.at(-1)) / BLOCK;
  const outer = x.shape.slice(0, -1).map(() => 0);
  return reduceSum(reshape(x, [...outer, blocks, BLOCK]), [-1]);
}

/**
 * `x [..., in]` times `scale * (quant - 8)`, for quants `[out, in / 32, 16]`, or in 8 bits times
 * `scale * (quant - 128)`, for quants `[out, in / 32, 32]`.
 */
function matMulBits(
  x: Value,
  { quants, scales, arithmetic, bits }: { quants: Value; scales: Value; arithmetic: 'exact' | 'fast'; bits: 4 | 8 },
): Value {
  // The scales are a tensor of the file, so both of their sizes are numbers.
  const [N, blocks] = scales.shape as [number, number];
  const attributes = {
    K: { int: blocks * BLOCK },
    N: { int: N },
    bits: { int: bits },
    block_size: { int: BLOCK },
    accuracy_level: { int: arithmetic === 'fast' ? 4 : 0 },
  };
  const spec = { dtype: x.dtype, shape: x.shape.with(-1, N) };
  return x.graph.emit('MatMulNBits', [x, quants, scales], [spec], { attributes, domain: 'com.microsoft' })[0]!;
}

/** Two of `[..., n]` to `[..., 2 n]`: the first of `a`, the first of `b`, the second of `a`. */
function interleave(a: Value, b: Value): Value {
  const pairs = concat([unsqueeze(a, -1), unsqueeze(b, -1)], -1);
  return reshape(pairs, [...a.shape.slice(0, -1).map(() => 0), Number(a.shape.at(-1)) * 2]);
}

/**
 * `[..., n]` bytes to `[..., 2 n]` 4-bit numbers, all as floats. Whole numbers this small are exact
 * there, and CUDA has no operators on bits.
 */
function unpackPairs(bytes: Value): Value {
  const high = floor(scale(bytes, 1 / 16));
  return interleave(sub(bytes, scale(high, 16)), high);
}
