/**
 * Reverse-mode differentiation over a graph's tape (Griewank and Walther, "Evaluating Derivatives",
 * ch. 3). The gradients become nodes of the same ONNX graph, so one run of one session gives both
 * the loss and the gradients.
 */
import type { Graph, Value } from '#gpu-backend/graph/graph.ts';
import { add, scalar } from '#gpu-backend/graph/ops.ts';
import { VJPS } from './vjps.ts';

/**
 * Returns d loss / d value for each value in `wrt`, as values of the same graph with the shapes of
 * `wrt`. `loss` must hold one number. Throws if an operator on the way has no gradient, if a
 * gradient reaches an operator's output other than its first, or if the loss does not depend on a
 * value in `wrt`.
 */
export function gradients(graph: Graph, loss: Value, wrt: readonly Value[]): Value[] {
  const needed = dependents(graph, wrt);
  if (!needed.has(loss.name)) throw new Error('the loss depends on none of the values asked for');
  const cotangents = new Map<string, Value>();
  return graph.withoutTape(() => {
    cotangents.set(loss.name, scalarLike(loss));
    for (const entry of graph.tape.toReversed()) {
      if (!entry.inputs.some((input) => needed.has(input.name))) continue;
      const [dy, ...further] = entry.outputs.map((output) => cotangents.get(output.name));
      const stray = further.findIndex((cotangent) => cotangent !== undefined);
      if (stray >= 0) {
        throw new Error(
          `the operator ${entry.op} passes gradients through its first output only, and the loss depends on output ${stray + 2}`,
        );
      }
      if (!dy) continue;
      const vjp = VJPS[entry.op];
      if (vjp === undefined) throw new Error(`no gradient is known for the operator ${entry.op}`);
      const contributions = vjp(entry, dy, (i) => needed.has(entry.inputs[i]!.name));
      entry.inputs.forEach((input, i) => {
        const contribution = contributions[i];
        if (!contribution || !needed.has(input.name)) return;
        const sofar = cotangents.get(input.name);
        cotangents.set(input.name, sofar ? add(sofar, contribution) : contribution);
      });
    }
    return wrt.map((value) => {
      const gradient = cotangents.get(value.name);
      if (!gradient) throw new Error(`the loss does not depend on ${value.name}`);
      return gradient;
    });
  });
}

/** Names of all values that depend on `roots`, including the roots. Only these need a gradient. */
function dependents(graph: Graph, roots: readonly Value[]): Set<string> {
  const names = new Set(roots.map((value) => value.name));
  for (const entry of graph.tape) {
    if (entry.inputs.some((input) => names.has(input.name))) {
      for (const output of entry.outputs) names.add(output.name);
    }
  }
  return names;
}

function scalarLike(loss: Value): Value {
  const size = loss.shape.reduce<number>((product, dim) => product * Number(dim), 1);
  if (size !== 1) throw new Error(`a loss is one number; ${loss.name} has the shape [${loss.shape.join(', ')}]`);
  return loss.shape.length === 1
    ? scalar(loss, 1)
    : loss.graph.constant(loss.dtype === 'double' ? 'double' : 'float', loss.shape.map(Number), [1]);
}
