/**
 * Operators that change a tensor's shape, cut and join tensors, or make them of a shape. Sizes may
 * be known at run time only: they are read off the graph's inputs that have them.
 */
import { node } from './emit-node.ts';
import type { Graph, Shape, Value } from './graph.ts';
import type { Dim, DType } from './onnx-format.ts';
import { cast, mul } from './ops-arithmetic.ts';
import { isStatic, normalizeAxis } from './shapes.ts';

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
