/**
 * Counts the work of one run of a graph: the floating point operations of its matrix products, and
 * the bytes that are alive at once. This is not an estimate: it counts nodes and their shapes.
 * Sizes must be static, as they are in every training graph.
 */
import type { Graph, Value } from '#gpu-backend/graph/graph.ts';
import { sizeOf, staticShape } from '#gpu-backend/graph/shapes.ts';

/**
 * A product `[..., m, k] x [..., k, n]` takes 2 m k n operations per batch. We count nothing else,
 * neither here nor in the peak.
 */
export function matmulFlops(graph: Graph): number {
  return matmuls(graph).reduce((sum, { flops }) => sum + flops, 0);
}

/** Lists a run's matrix products: rows, inner size, columns, and the operations of all batches. */
export function matmuls(graph: Graph): { m: number; k: number; n: number; flops: number }[] {
  return graph.operators().flatMap(({ op, inputs: [a, b], outputs: [c], attributes }) => {
    if (op !== 'MatMul' && op !== 'FusedMatMul') return [];
    const transA = op === 'FusedMatMul' && (attributes.transA as { int: number }).int === 1;
    const k = staticShape(a!).at(transA ? -2 : -1)!;
    const result = staticShape(c!);
    const [rows, columns] = result.slice(-2) as [number, number];
    // A batch of rows times one matrix is one product over all the rows.
    const m = b!.shape.length === 2 && !transA ? sizeOf(result) / columns : rows;
    return [{ m, k, n: columns, flops: 2 * sizeOf(result) * k }];
  });
}

/** Bytes per element of each type. */
const ELEMENT_BYTES = { float: 4, double: 8, int64: 8, float16: 2, bfloat16: 2, uint8: 1, bool: 1 };

/** These only change the shape of their input. onnxruntime lets input and output share memory. */
const ALIASES = new Set(['Reshape', 'Unsqueeze', 'Identity']);

/**
 * The most bytes of computed values that are alive at once: activations, cotangents and the
 * outputs, which stay. Nodes run in the order in which they were added, and a value's memory is
 * freed after its last use. Inputs and constants do not count. A real allocator needs more, because
 * freed pieces of memory do not always fit the next value.
 */
export function peakLiveBytes(graph: Graph): number {
  const operators = graph.operators();
  const owner = new Map<string, string>();
  const ownerOf = ({ name }: Value) => owner.get(name) ?? name;
  const lastUse = new Map<string, number>();
  operators.forEach(({ op, inputs, outputs }, at) => {
    for (const input of inputs) lastUse.set(ownerOf(input), at);
    if (ALIASES.has(op)) owner.set(outputs[0]!.name, ownerOf(inputs[0]!));
  });
  for (const output of graph.outputs) lastUse.set(ownerOf(output), Number.POSITIVE_INFINITY);

  const alive = new Map<string, number>();
  let [now, most] = [0, 0];
  const release = (name: string) => {
    now -= alive.get(name) ?? 0;
    alive.delete(name);
  };
  operators.forEach(({ op, inputs, outputs }, at) => {
    for (const output of ALIASES.has(op) ? [] : outputs) {
      const bytes = sizeOf(staticShape(output)) * ELEMENT_BYTES[output.dtype];
      alive.set(output.name, bytes);
      now += bytes;
    }
    most = Math.max(most, now);
    for (const value of inputs) if ((lastUse.get(ownerOf(value)) ?? at) <= at) release(ownerOf(value));
    // Frees an output that no node reads, such as a second one.
    for (const { name } of outputs) if (!lastUse.has(name)) release(name);
  });
  return most;
}
