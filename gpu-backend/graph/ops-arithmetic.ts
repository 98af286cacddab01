/** Operators that compute: sums, products, functions of each number, norms, rotations. */
import { node } from './emit-node.ts';
import type { Shape, Value } from './graph.ts';
import { DATA_TYPE, type Dim, type DType } from './onnx-format.ts';
import { broadcastShapes, normalizeAxis } from './shapes.ts';

const elementwise = (op: string) => (a: Value, b: Value) => node(op, [a, b], broadcastShapes(a.shape, b.shape, op));
const unary = (op: string) => (x: Value) => node(op, [x], x.shape);

export const add = elementwise('Add');
export const sub = elementwise('Sub');
export const mul = elementwise('Mul');
export const div = elementwise('Div');
export const max = elementwise('Max');
export const min = elementwise('Min');
export const neg = unary('Neg');
export const exp = unary('Exp');
export const log = unary('Log');
export const sigmoid = unary('Sigmoid');
export const floor = unary('Floor');
export const softplus = unary('Softplus');

/** A number as a tensor of `like`'s type. It broadcasts with any shape. */
export function scalar(like: Value, value: number): Value {
  return like.graph.constant(like.dtype === 'double' ? 'double' : 'float', [1], [value]);
}

export function scale(x: Value, factor: number): Value {
  return mul(x, scalar(x, factor));
}

/**
 * x * sigmoid(x). It is one entry on the tape, because the gradient of the whole takes two passes
 * fewer than the gradients of its parts.
 */
export function silu(x: Value): Value {
  const [output] = x.graph.composite('Silu', [x], () => {
    const gate = sigmoid(x);
    return [mul(x, gate), gate];
  });
  return output!;
}

/**
 * Batched matrix product with numpy's broadcasting: `[..., m, k] x [..., k, n] -> [..., m, n]`. A
 * transposed operand is read in place (onnxruntime's FusedMatMul), and so is one whose first axis
 * has the rows, before those of the batch: `[m, ..., k]` with `rowsFirstA`, and likewise B.
 */
export function matmul(
  a: Value,
  b: Value,
  { transA = false, transB = false, rowsFirstA = false, rowsFirstB = false } = {},
): Value {
  const shapeA = rowsFirstA ? rowsLast(a.shape) : a.shape;
  const shapeB = rowsFirstB ? rowsLast(b.shape) : b.shape;
  const [m, k] = lastTwo(shapeA, transA);
  const [k2, n] = lastTwo(shapeB, transB);
  if (k !== k2) {
    throw new Error(
      `MatMul: [${a.shape.join(', ')}]${transA ? '^T' : ''} x [${b.shape.join(', ')}]${transB ? '^T' : ''}`,
    );
  }
  const shape = [...broadcastShapes(shapeA.slice(0, -2), shapeB.slice(0, -2), 'MatMul'), m, n];
  if (!transA && !transB && !rowsFirstA && !rowsFirstB) return node('MatMul', [a, b], shape);
  const attributes = {
    transA: { int: Number(transA) },
    transB: { int: Number(transB) },
    ...(rowsFirstA && { transBatchA: { int: 1 } }),
    ...(rowsFirstB && { transBatchB: { int: 1 } }),
  };
  return node('FusedMatMul', [a, b], shape, { attributes, domain: 'com.microsoft' });
}

/** `[rows, ..., columns]` as `[..., rows, columns]`. */
const rowsLast = ([rows, ...rest]: Shape): Dim[] => [...rest.slice(0, -1), rows!, rest.at(-1)!];

function lastTwo(shape: Shape, transposed: boolean): [Dim, Dim] {
  const [rows, columns] = shape.slice(-2) as [Dim, Dim];
  return transposed ? [columns, rows] : [rows, columns];
}

/**
 * `a b + plus` of matrices: `a [m, k]`, `b [k, n]`, or `[n, k]` with `transB`; `plus` broadcasts to
 * `[m, n]`.
 */
export function gemm(
  a: Value,
  b: Value,
  { transB = false, plus = null }: { transB?: boolean; plus?: Value | null } = {},
): Value {
  const shape = [a.shape[0]!, b.shape[transB ? 0 : 1]!];
  return node('Gemm', plus === null ? [a, b] : [a, b, plus], shape, {
    attributes: { transB: { int: Number(transB) } },
  });
}

export function softmax(x: Value): Value {
  return node('Softmax', [x], x.shape, { attributes: { axis: { int: -1 } } });
}

/** Log-softmax over the last axis, in nats. */
export function logSoftmax(x: Value): Value {
  return node('LogSoftmax', [x], x.shape, { attributes: { axis: { int: -1 } } });
}

/** Sums over the given axes. The axes disappear, or stay with size 1. */
export function reduceSum(x: Value, axes: readonly number[], { keepDims = false } = {}): Value {
  const at = axes.map((axis) => normalizeAxis(axis, x.shape.length));
  const shape = keepDims
    ? x.shape.map((dim, i) => (at.includes(i) ? 1 : dim))
    : x.shape.filter((_, i) => !at.includes(i));
  const build = () => [
    node('ReduceSum', [x, x.graph.constant('int64', [at.length], at)], shape, {
      attributes: { keepdims: { int: Number(keepDims) } },
    }),
  ];
  return x.graph.composite('ReduceSum', [x], build, { axes: at })[0]!;
}

/**
 * Root mean square normalisation (Zhang and Sennrich, arXiv 1910.07467): `x / sqrt(mean(x^2) + eps)
 * * weight` over the last axis. The gradient needs the second output, 1 / rms.
 */
export function rmsNorm(x: Value, weight: Value, epsilon: number): Value {
  const [y] = x.graph.emit(
    'SimplifiedLayerNormalization',
    [x, weight],
    [
      { dtype: x.dtype, shape: x.shape },
      { dtype: x.dtype, shape: x.shape.with(-1, 1) },
    ],
    { attributes: { axis: { int: -1 }, epsilon, stash_type: { int: 1 } } },
  );
  return y!;
}

/** `x + delta`, and its `rmsNorm`, in one operator. It has no gradient. */
export function addRmsNorm(
  x: Value,
  delta: Value,
  { weight, epsilon }: { weight: Value; epsilon: number },
): { sum: Value; normed: Value } {
  const spec = { dtype: x.dtype, shape: x.shape };
  const [normed, sum] = x.graph.emit('SkipSimplifiedLayerNormalization', [x, delta, weight], [spec, null, null, spec], {
    attributes: { epsilon },
    domain: 'com.microsoft',
  });
  return { sum: sum!, normed: normed! };
}

/**
 * Rotary position embedding (Su et al., arXiv 2104.09864) in the half-split form of Llama: `x [B,
 * T, heads * headDim]`, `positions [B, T]`, tables `[maxPositions, headDim / 2]`.
 */
export function rotary(x: Value, positions: Value, cos: Value, sin: Value): Value {
  return node('RotaryEmbedding', [x, positions, cos, sin], x.shape, { domain: 'com.microsoft' });
}

/** The same numbers in another type. */
export function cast(x: Value, dtype: DType): Value {
  if (x.dtype === dtype) return x;
  const attributes = { to: { int: DATA_TYPE[dtype] } };
  return x.graph.emit('Cast', [x], [{ dtype, shape: x.shape }], { attributes })[0]!;
}
