/**
 * Products with weights that stay in 8 or 4 bits (quantise.ts), on onnxruntime's MatMulNBits.
 *
 * That operator multiplies with `scale * (quant - 8)` for quants of 4 bits. What is missing is one
 * number for each block, `minimum + 8 * scale`, times the sum of the inputs of that block: a
 * product of 1/32 of the size. The operator can take zero points in place of the 8, but only whole
 * ones at full speed, and our minima are not whole.
 *
 * Quants of 8 bits are `16 * high + low`, two products of 4 bits. The operator's own 8 bits are no
 * alternative on CPUs. Exact, one step of a model of 135M parameters took 1.8 s, because every run
 * unpacks all weights. With activations in 8 bits its errors were several times those of 4 bits.
 *
 * `exact` computes in f32. `fast` rounds the inputs of each product, but not the sums of blocks, to
 * 8 bits (accuracy level 4).
 */
import type { Value } from '../graph/graph.ts';
import {
  add,
  bitAnd,
  cast,
  concat,
  gather,
  matmul,
  mul,
  reduceSum,
  reshape,
  scale,
  shift,
  slice,
  unsqueeze,
} from '../graph/ops.ts';
import type { Manifest } from './manifest.ts';
import { BLOCK, type QuantisedPart, type QuantisedType } from './quantise.ts';

type Arithmetic = NonNullable<Manifest['weights']>['arithmetic'];

export type QuantisedProducts = {
  /** `x [..., in]` times a weight `[out, in]`: `[..., out]`. */
  linear(x: Value, name: string): Value;
  /** The rows of a table at `ids [B, T]`: `[B, T, in]`. Exact in both arithmetics. */
  rows(ids: Value, name: string): Value;
};

export function quantisedProducts({
  type,
  arithmetic,
  parts,
}: {
  type: QuantisedType;
  arithmetic: Arithmetic;
  /** The three tensors of a weight: quants uint8, the others f32. */
  parts: (name: string) => Record<QuantisedPart, Value>;
}): QuantisedProducts {
  /** The sums of blocks by the input's name: queries, keys and values share one. */
  const known = new Map<string, Value>();
  const blockSums = (x: Value) => {
    const sums = known.get(x.name) ?? sumOfBlocks(x);
    known.set(x.name, sums);
    return sums;
  };
  const nibbles = (x: Value, quants: Value, scales: Value) => matMul4Bits(x, { quants, scales, arithmetic });
  const once = (name: string, like: Value, make: () => Value) => like.graph.once(name, make);
  return {
    linear(x, name) {
      const { quants, scales, minima } = parts(name);
      const middle = type === 'int4' ? 8 : 16 * 8 + 8;
      const middles = once(`${name}.middles`, scales, () => add(minima, scale(scales, middle)));
      const rest = matmul(blockSums(x), middles, { transB: true });
      if (type === 'int4') return add(nibbles(x, quants, scales), rest);
      const low = once(`${name}.low`, quants, () => packPairs(bitAnd(quants, 15)));
      const high = once(`${name}.high`, quants, () => packPairs(shift(quants, 'RIGHT', 4)));
      const coarse = once(`${name}.coarse`, scales, () => scale(scales, 16));
      return add(add(nibbles(x, high, coarse), nibbles(x, low, scales)), rest);
    },
    rows(ids, name) {
      const [quants, scales, minima] = (['quants', 'scales', 'minima'] as const).map((part) => {
        return gather(parts(name)[part], ids); // [B, T, blocks, ...]
      }) as [Value, Value, Value];
      const numbers = cast(type === 'int8' ? quants : unpackPairs(quants), 'float'); // [B, T, blocks, 32]
      const weights = add(mul(numbers, unsqueeze(scales, -1)), unsqueeze(minima, -1));
      return reshape(weights, [0, 0, Number(scales.shape.at(-1)) * BLOCK]);
    },
  };
}

/** `[..., in]` to `[..., in / 32]`. */
function sumOfBlocks(x: Value): Value {
  const blocks = Number(x.shape.at(-1)) / BLOCK;
  const outer = x.shape.slice(0, -1).map(() => 0);
  return reduceSum(reshape(x, [...outer, blocks, BLOCK]), [-1]);
}

/** `x [..., in]` times `scale * (quant - 8)`, for quants `[out, in / 32, 16]`. */
function matMul4Bits(
  x: Value,
  { quants, scales, arithmetic }: { quants: Value; scales: Value; arithmetic: Arithmetic },
): Value {
  const [N, blocks] = scales.shape as [number, number];
  const attributes = {
    K: { int: blocks * BLOCK },
    N: { int: N },
    bits: { int: 4 },
    block_size: { int: BLOCK },
    accuracy_level: { int: arithmetic === 'fast' ? 4 : 0 },
  };
  const spec = { dtype: x.dtype, shape: x.shape.with(-1, N) };
  return x.graph.emit('MatMulNBits', [x, quants, scales], [spec], { attributes, domain: 'com.microsoft' })[0]!;
}

/** `[..., n]` of 4-bit numbers to `[..., n / 2]`, the first of each two in the lower half. */
function packPairs(quants: Value): Value {
  const outer = quants.shape.slice(0, -1);
  const n = Number(quants.shape.at(-1)) / 2;
  const pairs = reshape(quants, [...outer.map(() => 0), n, 2]);
  const half = (i: number) => reshape(slice(pairs, -1, i, i + 1), [...outer.map(() => 0), n]);
  // The halves share no bit, so their sum is their union.
  return add(half(0), shift(half(1), 'LEFT', 4));
}

/** `[..., n]` bytes to `[..., 2 n]` 4-bit numbers. */
function unpackPairs(quants: Value): Value {
  const pairs = concat([unsqueeze(bitAnd(quants, 15), -1), unsqueeze(shift(quants, 'RIGHT', 4), -1)], -1);
  const outer = quants.shape.slice(0, -1).map(() => 0);
  return reshape(pairs, [...outer, Number(quants.shape.at(-1)) * 2]);
}
