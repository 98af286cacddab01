/**
 * The vector-Jacobian product of every operator. It turns `dy`, the cotangent of the operator's
 * first output, into the cotangents of its inputs. `vjps.test.ts` checks each one against finite
 * differences.
 */
import type { TapeEntry, Value } from '#gpu-backend/graph/graph.ts';
import type { Dim } from '#gpu-backend/graph/onnx-format.ts';
import {
  add,
  concat,
  div,
  exp,
  expandLike,
  gatherPlaces,
  matmul,
  mul,
  neg,
  reduceSum,
  reshape,
  reshapeAs,
  rotary,
  scale,
  scatterAdd,
  scatterPlaces,
  sigmoid,
  slice,
  sub,
  transpose,
  unsqueeze,
  zeros,
} from '#gpu-backend/graph/ops.ts';
import { normalizeAxis, staticSize } from '#gpu-backend/graph/shapes.ts';

/**
 * `needs(i)` says whether input i needs a cotangent, so that we do not build costly ones
 * unnecessarily.
 */
type Vjp = (entry: TapeEntry, dy: Value, needs: (input: number) => boolean) => (Value | null)[];

export const VJPS: Record<string, Vjp> = {
  Add: ({ inputs: [a, b] }, dy) => [sumTo(dy, a!), sumTo(dy, b!)],
  Sub: ({ inputs: [a, b] }, dy) => [sumTo(dy, a!), sumTo(neg(dy), b!)],
  Mul: ({ inputs: [a, b] }, dy, needs) => [
    needs(0) ? sumTo(mul(dy, b!), a!) : null,
    needs(1) ? sumTo(mul(dy, a!), b!) : null,
  ],
  Div: ({ inputs: [a, b], outputs: [y] }, dy, needs) => [
    needs(0) ? sumTo(div(dy, b!), a!) : null,
    needs(1) ? sumTo(neg(mul(dy, div(y!, b!))), b!) : null,
  ],
  Neg: (_, dy) => [neg(dy)],
  Exp: ({ outputs: [y] }, dy) => [mul(dy, y!)],
  Log: ({ inputs: [x] }, dy) => [div(dy, x!)],
  Sigmoid: ({ outputs: [y] }, dy) => [mul(dy, sub(y!, mul(y!, y!)))],
  /** y = x s, s = sigmoid(x): dy/dx = s + y - s y. */
  Silu: ({ outputs: [y, s] }, dy) => [mul(dy, add(s!, sub(y!, mul(s!, y!))))],
  Softplus: ({ inputs: [x] }, dy) => [mul(dy, sigmoid(x!))],
  MatMul: (entry, dy, needs) => matmulVjp(entry, dy, needs, { transA: false, transB: false }),
  FusedMatMul: (entry, dy, needs) => {
    const flag = (name: string) => (entry.attributes[name] as { int: number }).int === 1;
    return matmulVjp(entry, dy, needs, { transA: flag('transA'), transB: flag('transB') });
  },
  Transpose: ({ attributes }, dy) => {
    const perm = attributes.perm as readonly number[];
    return [
      transpose(
        dy,
        perm.map((_, i) => perm.indexOf(i)),
      ),
    ];
  },
  Reshape: ({ inputs: [x] }, dy) => [reshapeAs(dy, x!.shape), null],
  Unsqueeze: ({ inputs: [x] }, dy) => [reshapeAs(dy, x!.shape), null],
  Concat: ({ inputs, attributes }, dy) => {
    const axis = normalizeAxis((attributes.axis as { int: number }).int, dy.shape.length);
    let start = 0;
    return inputs.map((input) => {
      const size = staticSize(input, axis);
      start += size;
      return slice(dy, axis, start - size, start);
    });
  },
  SliceAxis: ({ inputs: [x], attributes }, dy) => {
    const { axis, start, end } = attributes as Record<'axis' | 'start' | 'end', { int: number }>;
    const pad = (size: number) => (size === 0 ? [] : [zeros(dy, x!.shape.with(axis.int, size))]);
    const parts = [...pad(start.int), dy, ...pad(staticSize(x!, axis.int) - end.int)] as [Value, ...Value[]];
    return [parts.length === 1 ? dy : concat(parts, axis.int)];
  },
  /**
   * An index may repeat, and then the cotangents of its rows add up. ScatterElements adds them
   * exactly. ScatterND has a race.
   */
  Gather: ({ inputs: [table, indices] }, dy) => {
    const width = staticSize(table!, 1);
    const updates = reshape(dy, [-1, width]);
    const index = expandLike(reshape(indices!, [-1, 1]), updates);
    return [scatterAdd(zeros(dy, table!.shape), index, updates, 0), null];
  },
  Softmax: ({ outputs: [y] }, dy) => {
    const weighted = mul(dy, y!);
    return [sub(weighted, mul(y!, reduceSum(weighted, [-1], { keepDims: true })))];
  },
  /** d/dx (x - log sum exp x): `dy` minus the softmax times the sum of `dy`. */
  LogSoftmax: ({ outputs: [y] }, dy) => [sub(dy, mul(exp(y!), reduceSum(dy, [-1], { keepDims: true })))],
  GatherND: ({ inputs: [x, indices] }, dy) => {
    const updates = unsqueeze(dy, 1);
    const index = expandLike(unsqueeze(indices!, 2), updates);
    return [scatterAdd(zeros(dy, x!.shape), index, updates, 1), null];
  },
  GatherPlaces: ({ inputs: [x, places] }, dy) => {
    const [rows, length] = x!.shape as [Dim, Dim];
    return [scatterPlaces(dy, places!, [rows, length]), null];
  },
  ScatterPlaces: ({ inputs: [, places] }, dy) => [gatherPlaces(dy, places!), null],
  ReduceSum: ({ inputs: [x], attributes }, dy) => {
    const axes = attributes.axes as readonly number[];
    const kept = x!.shape.map((size, i) => (axes.includes(i) ? 1 : size));
    return [expandLike(reshapeAs(dy, kept), x!)];
  },
  /**
   * y = x * inv * w, inv = (mean x^2 + eps)^(-1/2):
   * dx = inv * (dy w - x * inv^2 * mean(dy w x)).
   */
  SimplifiedLayerNormalization: ({ inputs: [x, weight], outputs: [, inv] }, dy, needs) => {
    const width = Number(x!.shape.at(-1));
    const scaled = mul(dy, weight!);
    const normalized = mul(x!, inv!);
    const mean = scale(reduceSum(mul(scaled, normalized), [-1], { keepDims: true }), 1 / width);
    return [mul(inv!, sub(scaled, mul(normalized, mean))), needs(1) ? sumTo(mul(dy, normalized), weight!) : null];
  },
  /** The inverse of a rotation is the rotation by the negative angle. */
  RotaryEmbedding: ({ inputs: [, positions, cos, sin] }, dy) => [
    rotary(dy, positions!, cos!, neg(sin!)),
    null,
    null,
    null,
  ],
  /** d logprob[target] / d logits = onehot - softmax. */
  TokenLogprobs: ({ outputs: [, logprobs, index] }, dy) => {
    const cotangent = unsqueeze(dy, -1);
    return [scatterAdd(mul(exp(logprobs!), neg(cotangent)), index!, cotangent, -1), null];
  },
};

/**
 * Undoes broadcasting: sums over the added and stretched axes, so that the cotangent has the shape
 * of `like`.
 */
function sumTo(dy: Value, like: Value): Value {
  const to = like.shape;
  const extra = dy.shape.length - to.length;
  const leading = Array.from({ length: extra }, (_, i) => i);
  const stretched = to.flatMap((size, i) => (size === 1 && dy.shape[i + extra] !== 1 ? [i + extra] : []));
  if (leading.length + stretched.length === 0) return dy;
  const summed = reduceSum(dy, [...leading, ...stretched], { keepDims: true });
  return extra === 0 ? summed : reshapeAs(summed, to);
}

/**
 * C = A B: dA = dC B^T, dB = A^T dC. Either operand may be transposed. If the left operand is
 * batched and the right one is 2-D (every linear layer), we compute one product over all rows
 * instead of one product per batch and a sum.
 */
function matmulVjp(
  { inputs: [a, b] }: TapeEntry,
  dy: Value,
  needs: (input: number) => boolean,
  { transA, transB }: { transA: boolean; transB: boolean },
): (Value | null)[] {
  const da = () =>
    sumTo(transA ? matmul(b!, dy, { transA: transB, transB: true }) : matmul(dy, b!, { transB: !transB }), a!);
  const db = () => {
    const [left, right] = b!.shape.length === 2 && !transA ? [flatten(a!), flatten(dy)] : [a!, dy];
    return sumTo(
      transB ? matmul(right, left, { transA: true, transB: transA }) : matmul(left, right, { transA: !transA }),
      b!,
    );
  };
  return [needs(0) ? da() : null, needs(1) ? db() : null];
}

function flatten(x: Value): Value {
  return x.shape.length === 2 ? x : reshape(x, [-1, staticSize(x, -1)]);
}
