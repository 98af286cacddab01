/** How the operators add themselves to a graph. */
import type { Shape, Value } from './graph.ts';
import type { AttributeValue } from './onnx-format.ts';

type NodeOptions = { attributes?: Record<string, AttributeValue>; domain?: string };

/** Adds one node with one output, which has the first input's type. */
export function node(op: string, inputs: readonly [Value, ...Value[]], shape: Shape, options: NodeOptions = {}): Value {
  const [output] = inputs[0].graph.emit(op, inputs, [{ dtype: inputs[0].dtype, shape }], options);
  return output!;
}
