/**
 * The operators of our graphs: ONNX's own (opset 18) and a few of onnxruntime's (`com.microsoft`).
 * If training needs an operator's gradient, it is in `training/autodiff/vjps.ts` under the same
 * name.
 */
import type { Graph, Shape, Value } from './graph.ts';
import { type AttributeValue, DATA_TYPE, type Dim, type DType } from './onnx-format.ts';
import { broadcastShapes, isStatic, normalizeAxis } from './shapes.ts';

type NodeOptions = { attributes?: Record<string, AttributeValue>; domain?: string };

/** Adds one node with one output, which has the first input's type. */
function node(op: string, inputs: readonly [Value, ...Value[]], shape: Shape, options: NodeOptions = {}): Value {
  const [output] = inputs[0].graph.emit(op, inputs, [{ dtype: inputs[0].dtype, shape }], options);
  return output!;
}

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

export function transpose(x: Value, perm: readonly number[]): Value {
  return node(
    'Transpose',
    [x],
    perm.map((axis) => x.shape[axis]!),
    { attributes: { perm } },
  );
}

/**
 * `spec` is as in ONNX: 0 keeps the size at that place, and at most one -1 stands for whatever is
 * left. `inferred` names that size if it cannot be computed here because other sizes are only known
 * at run time.
 */
export function reshape(x: Value, spec: readonly number[], { inferred }: { inferred?: Dim } = {}): Value {
  const shape: Dim[] = spec.map((dim, i) => (dim === 0 ? x.shape[i]! : dim));
  const hole = spec.indexOf(-1);
  if (hole >= 0) shape[hole] = inferred ?? inferDim(x.shape, shape, hole);
  return node('Reshape', [x, x.graph.constant('int64', [spec.length], spec)], shape);
}

function inferDim(from: Shape, to: readonly Dim[], hole: number): Dim {
  const rest = to.filter((_, i) => i !== hole);
  const remaining = [...from];
  let divisor = 1;
  for (const dim of rest) {
    const at = remaining.indexOf(dim);
    if (at >= 0) remaining.splice(at, 1);
    else divisor *= Number(dim);
  }
  const names = remaining.filter((dim) => typeof dim === 'string');
  const size =
    remaining.reduce<number>((product, dim) => (typeof dim === 'number' ? product * dim : product), 1) / divisor;
  if (names.length === 0 && Number.isInteger(size)) return size;
  if (names.length > 0 && size === 1) return names.join('*');
  throw new Error(`Reshape: cannot infer a size from [${from.join(', ')}] to [${to.join(', ')}]; name it`);
}

/**
 * Reshapes to a shape that is fed, `spec` int64. `shape` says what it is, as far as that is known.
 */
export function reshapeTo(x: Value, spec: Value, shape: Shape): Value {
  return node('Reshape', [x, spec], shape);
}

/**
 * Reshapes to a shape with any number of sizes that are only known at run time. They are read off
 * the graph's inputs (`shapeTensor`) if there are several.
 */
export function reshapeAs(x: Value, shape: Shape): Value {
  const symbols = shape.filter((dim) => typeof dim === 'string');
  if (symbols.length > 1) return reshapeTo(x, shapeTensor(x, shape), shape);
  const spec = shape.map((dim) => (typeof dim === 'string' ? -1 : dim));
  return reshape(x, spec, symbols[0] === undefined ? {} : { inferred: symbols[0] });
}

/**
 * Sizes as an int64 tensor. Each one that is only known at run time is read off a graph's input
 * which has it. A product of them, such as `rows*length`, is multiplied. Throws if no input has it.
 */
function shapeTensor({ graph }: Value, shape: Shape): Value {
  if (isStatic(shape)) return graph.constant('int64', [shape.length], shape);
  return graph.withoutTape(() => {
    const parts = shape.map((dim) =>
      typeof dim === 'number' ? graph.constant('int64', [1], [dim]) : sizeOf(graph, dim),
    );
    return graph.once(`shape [${shape.join(', ')}]`, () => concat(parts as [Value, ...Value[]], 0));
  });
}

/**
 * Like `shapeTensor`, of a value's own shape. Sizes that no input has are read off the value
 * itself, which is then kept in memory until it is used for the last time.
 */
function shapeOf(x: Value): Value {
  const named = x.shape.flatMap((dim) => (typeof dim === 'number' ? [] : dim.split('*')));
  const known = (name: string) => NUMBER.test(name) || x.graph.inputs.some(({ shape }) => shape.includes(name));
  if (named.every(known)) return shapeTensor(x, x.shape);
  return x.graph.withoutTape(() => x.graph.emit('Shape', [x], [{ dtype: 'int64', shape: [x.shape.length] }])[0]!);
}

const NUMBER = /^\d+$/;

function sizeOf(graph: Graph, name: string): Value {
  return graph.once(`size of ${name}`, () =>
    name
      .split('*')
      .map((factor) =>
        NUMBER.test(factor) ? graph.constant('int64', [1], [Number(factor)]) : sizeOfInput(graph, factor),
      )
      .reduce(mul),
  );
}

function sizeOfInput(graph: Graph, name: string): Value {
  const owner = graph.inputs.find(({ shape }) => shape.includes(name));
  if (owner === undefined) throw new Error(`no input of the graph has the size "${name}"`);
  const at = owner.shape.indexOf(name);
  const attributes = { start: { int: at }, end: { int: at + 1 } };
  return graph.once(
    `size ${name}`,
    () => graph.emit('Shape', [owner], [{ dtype: 'int64', shape: [1] }], { attributes })[0]!,
  );
}

/** How many numbers `x` has, as a `[1]` of its type. */
export function countOf(x: Value): Value {
  return x.graph.withoutTape(() =>
    cast(reshape(x.graph.emit('Size', [x], [{ dtype: 'int64', shape: [] }])[0]!, [1]), x.dtype),
  );
}

/** `0, 1, ..., size - 1`, int64. `like` only names the graph. */
export function range(like: Value, size: Dim): Value {
  const scalarOf = (value: Value) => reshape(value, []);
  const ends = [
    like.graph.constant('int64', [1], [0]),
    shapeTensor(like, [size]),
    like.graph.constant('int64', [1], [1]),
  ];
  return like.graph.emit('Range', ends.map(scalarOf), [{ dtype: 'int64', shape: [size] }])[0]!;
}

/**
 * The places of the numbers that are not 0, `[places, rank of x]` in int64. `places` names how many
 * there are.
 */
export function nonZero(x: Value, places: Dim): Value {
  const [found] = x.graph.emit('NonZero', [x], [{ dtype: 'int64', shape: [x.shape.length, places] }]);
  return transpose(found!, [1, 0]);
}

/** Takes the rows of `x [B, T, ...]` at `places [n, 2]`: `[n, ...]`. */
export function gatherPlaces(x: Value, places: Value): Value {
  const shape = [places.shape[0]!, ...x.shape.slice(2)];
  return x.graph.composite('GatherPlaces', [x, places], () => [node('GatherND', [x, places], shape)])[0]!;
}

/**
 * Puts the rows `values [n, ...]` at `places [n, 2]` of `[B, T, ...]`, with 0 everywhere else. No
 * place may repeat.
 */
export function scatterPlaces(values: Value, places: Value, [rows, length]: readonly [Dim, Dim]): Value {
  const shape = [rows, length, ...values.shape.slice(1)];
  const build = () => [scatterRows(zeros(values, shape), places, values)];
  return values.graph.composite('ScatterPlaces', [values, places], build)[0]!;
}

export function unsqueeze(x: Value, axis: number): Value {
  const at = normalizeAxis(axis, x.shape.length + 1);
  return node('Unsqueeze', [x, x.graph.constant('int64', [1], [at])], x.shape.toSpliced(at, 0, 1));
}

export function concat(values: readonly [Value, ...Value[]], axis: number, size?: Dim): Value {
  const at = normalizeAxis(axis, values[0].shape.length);
  const sizes = values.map((value) => value.shape[at]!);
  const total = size ?? sizes.reduce<number>((sum, dim) => sum + Number(dim), 0);
  return node('Concat', values, values[0].shape.with(at, total), { attributes: { axis: { int: at } } });
}

/** The part `[start, end)` along one axis. */
export function slice(x: Value, axis: number, start: number, end: number): Value {
  const at = normalizeAxis(axis, x.shape.length);
  const ints = (value: number) => x.graph.constant('int64', [1], [value]);
  const attributes = { axis: { int: at }, start: { int: start }, end: { int: end } };
  const build = () => [node('Slice', [x, ints(start), ints(end), ints(at)], x.shape.with(at, end - start))];
  return x.graph.composite('SliceAxis', [x], build, attributes)[0]!;
}

/** Cuts `x` along `axis` into parts whose sizes are fed, int64; `dims` names them. */
export function split(x: Value, axis: number, sizes: Value, dims: readonly Dim[]): Value[] {
  const outputs = dims.map((dim) => ({ dtype: x.dtype, shape: x.shape.with(axis, dim) }));
  return x.graph.emit('Split', [x, sizes], outputs, { attributes: { axis: { int: axis } } });
}

/**
 * `x [P, B, ...]` with each of the rows `updates [n, ...]` in its place, `places` int64 `[n, 2]`.
 * Where two have the same place, one of them wins.
 */
export function scatterRows(x: Value, places: Value, updates: Value): Value {
  return node('ScatterND', [x, places, updates], x.shape);
}

/** Rows of `table` `[n, ...]` by index: `[...indices, ...]`. */
export function gather(table: Value, indices: Value): Value {
  const attributes = { axis: { int: 0 } };
  return node('Gather', [table, indices], [...indices.shape, ...table.shape.slice(1)], { attributes });
}

/** Takes one position from each row of a batch: `x [B, T, d]`, `positions [B]` -> `[B, d]`. */
export function gatherPositions(x: Value, positions: Value): Value {
  const [batch, , size] = x.shape as [Dim, Dim, Dim];
  const attributes = { batch_dims: { int: 1 } };
  return node('GatherND', [x, unsqueeze(positions, 1)], [batch, size], { attributes });
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

/**
 * The log-probability of each target: `logits [B, T, V]`, `targets [B, T]` (int64) -> `[B, T]`, in
 * nats. It is one entry on the tape, because the gradient of the whole (one-hot minus softmax) is
 * far cheaper than the gradients of its parts.
 */
export function tokenLogprobs(logits: Value, targets: Value): Value {
  const [output] = logits.graph.composite('TokenLogprobs', [logits, targets], () => {
    const logprobs = logSoftmax(logits);
    const index = unsqueeze(targets, -1);
    const picked = node('GatherElements', [logprobs, index], index.shape, { attributes: { axis: { int: -1 } } });
    const spec = targets.shape.map(() => 0);
    return [reshape(picked, spec), logprobs, index];
  });
  return output!;
}

/**
 * Adds `updates` to `data` at `indices` along `axis`. Use only ScatterElements: ScatterND's
 * addition is a data race on CPU.
 */
export function scatterAdd(data: Value, indices: Value, updates: Value, axis: number): Value {
  const attributes = { axis: { int: axis }, reduction: 'add' };
  return node('ScatterElements', [data, indices, updates], data.shape, { attributes });
}

/** The same numbers in another type. */
export function cast(x: Value, dtype: DType): Value {
  if (x.dtype === dtype) return x;
  const attributes = { to: { int: DATA_TYPE[dtype] } };
  return x.graph.emit('Cast', [x], [{ dtype, shape: x.shape }], { attributes })[0]!;
}

export function zeros(like: Value, shape: Shape, dtype: DType = like.dtype): Value {
  const data = new Uint8Array(dtype === 'double' ? 8 : 4);
  const dims = shapeTensor(like, shape);
  const attributes = { value: { tensor: { dtype, dims: [1], data } } };
  return like.graph.emit('ConstantOfShape', [dims], [{ dtype, shape }], { attributes })[0]!;
}

/** Broadcasts `x` to a shape. */
export function expand(x: Value, shape: Shape): Value {
  return node('Expand', [x, shapeTensor(x, shape)], shape);
}

/** Broadcasts `x` to the shape of another value. */
export function expandLike(x: Value, like: Value): Value {
  return node('Expand', [x, shapeOf(like)], like.shape);
}
