/**
 * Encodes a model in ONNX's protobuf format. protobufjs reads the schema from `onnx.proto`, next to
 * this file.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import protobuf from 'protobufjs';

/** Element types and their numbers in ONNX's TensorProto.DataType. */
export const DATA_TYPE = { float: 1, uint8: 2, int64: 7, bool: 9, float16: 10, double: 11, bfloat16: 16 } as const;
export type DType = keyof typeof DATA_TYPE;

/** A size, or the name of a size that is only known at run time. */
export type Dim = number | string;
export type AttributeValue =
  | number
  | string
  | readonly number[]
  | { int: number }
  | { tensor: { dtype: DType; dims: readonly number[]; data: Uint8Array } }
  | { graph: SubgraphSpec };

export type NodeSpec = {
  op: string;
  domain: string;
  inputs: readonly string[];
  outputs: readonly string[];
  attributes: Readonly<Record<string, AttributeValue>>;
};
/** A graph inside a node, such as a branch. It sees the values of the graph around it. */
type SubgraphSpec = { name: string; nodes: readonly NodeSpec[]; outputs: readonly ValueSpec[] };
/** Where a tensor's bytes are: in another file, by its name. */
export type ExternalData = { file: string; offset: number; bytes: number };
export type TensorSpec = { name: string; dtype: DType; dims: readonly number[]; data: Uint8Array | ExternalData };
export type ValueSpec = { name: string; dtype: DType; shape: readonly Dim[] };

/**
 * IR 9 and opset 18 are the newest with which onnxruntime 1.30 runs every contrib operator used
 * here.
 */
const IR_VERSION = 9;
const OPSETS = [
  { domain: '', version: 18 },
  { domain: 'com.microsoft', version: 1 },
];

const root = protobuf.parse(readFileSync(path.join(import.meta.dirname, 'onnx.proto'), 'utf8'), {
  keepCase: true,
}).root;
const ModelProto = root.lookupType('onnx.ModelProto');

/** The bytes of a `.onnx` file. */
export function encodeModel(model: {
  name: string;
  nodes: readonly NodeSpec[];
  initializers: readonly TensorSpec[];
  inputs: readonly ValueSpec[];
  outputs: readonly ValueSpec[];
}): Uint8Array {
  const message = ModelProto.fromObject({
    ir_version: IR_VERSION,
    producer_name: 'plimsoll',
    opset_import: OPSETS,
    graph: {
      name: model.name,
      node: model.nodes.map(encodeNode),
      initializer: model.initializers.map(encodeTensor),
      input: model.inputs.map(encodeValue),
      output: model.outputs.map(encodeValue),
    },
  });
  return ModelProto.encode(message).finish();
}

function encodeNode({ inputs, outputs, op, domain, attributes }: NodeSpec): object {
  const attribute = Object.entries(attributes).map(([name, value]) => encodeAttribute(name, value));
  return { input: inputs, output: outputs, op_type: op, domain, attribute };
}

/**
 * A bare number is a float. An integer must be marked (`{ int: 1 }`), because ONNX tells the two
 * apart.
 */
function encodeAttribute(name: string, value: AttributeValue): object {
  if (typeof value === 'number') return { name, type: 'FLOAT', f: value };
  if (typeof value === 'string') return { name, type: 'STRING', s: new TextEncoder().encode(value) };
  if ('int' in value) return { name, type: 'INT', i: value.int };
  if ('tensor' in value) return { name, type: 'TENSOR', t: encodeTensor({ name: '', ...value.tensor }) };
  if ('graph' in value) {
    const { nodes, outputs, name: of } = value.graph;
    return { name, type: 'GRAPH', g: { name: of, node: nodes.map(encodeNode), output: outputs.map(encodeValue) } };
  }
  return { name, type: 'INTS', ints: value };
}

function encodeTensor({ name, dtype, dims, data }: TensorSpec): object {
  const head = { name, data_type: DATA_TYPE[dtype], dims };
  if (data instanceof Uint8Array) return { ...head, raw_data: data };
  const { file, offset, bytes } = data;
  const entries = { location: file, offset, length: bytes };
  const external_data = Object.entries(entries).map(([key, value]) => ({ key, value: String(value) }));
  return { ...head, data_location: 'EXTERNAL', external_data };
}

function encodeValue({ name, dtype, shape }: ValueSpec): object {
  const dim = shape.map((size) => (typeof size === 'number' ? { dim_value: size } : { dim_param: size }));
  return { name, type: { tensor_type: { elem_type: DATA_TYPE[dtype], shape: { dim } } } };
}
