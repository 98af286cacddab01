/** Operators that take numbers from places in a tensor, and put them there. */
import { node } from './emit-node.ts';
import type { Value } from './graph.ts';
import type { Dim } from './onnx-format.ts';
import { logSoftmax } from './ops-arithmetic.ts';
import { reshape, transpose, unsqueeze, zeros } from './ops-shape.ts';

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
