/**
 * Reads back what `encodeModel` writes, with protobuf and the same schema. In the operator tests,
 * onnxruntime itself reads it.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import protobuf from 'protobufjs';
import { expect, test } from 'vitest';
import { encodeModel } from './onnx-format.ts';

const { root } = protobuf.parse(readFileSync(path.join(import.meta.dirname, 'onnx.proto'), 'utf8'), { keepCase: true });
const ModelProto = root.lookupType('onnx.ModelProto');

/** Plain objects: enums by name, 64-bit integers as numbers, bytes as arrays. */
function decode(bytes: Uint8Array) {
  const message = ModelProto.decode(bytes);
  return ModelProto.toObject(message, { enums: String, longs: Number, bytes: Array });
}

const EMPTY = { name: 'g', nodes: [], initializers: [], inputs: [], outputs: [] };

test('a model names its versions and its producer', () => {
  expect(decode(encodeModel(EMPTY))).toEqual({
    ir_version: 9,
    producer_name: 'plimsoll',
    opset_import: [
      { domain: '', version: 18 },
      { domain: 'com.microsoft', version: 1 },
    ],
    graph: { name: 'g' },
  });
});

test('inputs and outputs keep name, type and shape, with sizes by number or by name', () => {
  const { graph } = decode(
    encodeModel({
      ...EMPTY,
      inputs: [{ name: 'ids', dtype: 'int64', shape: ['B', 4] }],
      outputs: [{ name: 'y', dtype: 'double', shape: [] }],
    }),
  );
  const tensor = (elem_type: number, shape: object) => ({ tensor_type: { elem_type, shape } });
  expect(graph.input).toEqual([{ name: 'ids', type: tensor(7, { dim: [{ dim_param: 'B' }, { dim_value: 4 }] }) }]);
  expect(graph.output).toEqual([{ name: 'y', type: tensor(11, {}) }]);
});

test.each([
  ['float', 1],
  ['uint8', 2],
  ['int64', 7],
  ['bool', 9],
  ['float16', 10],
  ['double', 11],
  ['bfloat16', 16],
] as const)('an initializer of %s keeps its bytes under data type %i', (dtype, data_type) => {
  const data = Uint8Array.of(1, 2, 3, 255);
  const { graph } = decode(encodeModel({ ...EMPTY, initializers: [{ name: 'w', dtype, dims: [2, 1], data }] }));
  expect(graph.initializer).toEqual([{ name: 'w', data_type, dims: [2, 1], raw_data: [1, 2, 3, 255] }]);
});

test('a node keeps its operator, domain, values and attributes of every kind', () => {
  const node = {
    op: 'Op',
    domain: 'com.microsoft',
    inputs: ['a', '', 'c'],
    outputs: ['y'],
    attributes: {
      float: 0.5,
      string: 'né',
      int: { int: -3 },
      ints: [1, 0, 2],
      tensor: { tensor: { dtype: 'float' as const, dims: [1], data: Uint8Array.of(0, 0, 128, 63) } },
    },
  };
  const { graph } = decode(encodeModel({ ...EMPTY, nodes: [node] }));
  expect(graph.node).toEqual([
    {
      op_type: 'Op',
      domain: 'com.microsoft',
      input: ['a', '', 'c'],
      output: ['y'],
      attribute: [
        { name: 'float', type: 'FLOAT', f: 0.5 },
        { name: 'string', type: 'STRING', s: [0x6e, 0xc3, 0xa9] },
        { name: 'int', type: 'INT', i: -3 },
        { name: 'ints', type: 'INTS', ints: [1, 0, 2] },
        { name: 'tensor', type: 'TENSOR', t: { name: '', data_type: 1, dims: [1], raw_data: [0, 0, 128, 63] } },
      ],
    },
  ]);
});

test('a tensor in another file keeps its place there, and has no bytes here', () => {
  const data = { file: 'model.safetensors', offset: 4_294_967_304, bytes: 8 };
  const initializers = [{ name: 'w', dtype: 'float', dims: [2], data } as const];
  const { graph } = decode(encodeModel({ ...EMPTY, initializers }));
  expect(graph.initializer).toEqual([
    {
      name: 'w',
      data_type: 1,
      dims: [2],
      data_location: 'EXTERNAL',
      external_data: [
        { key: 'location', value: 'model.safetensors' },
        { key: 'offset', value: '4294967304' },
        { key: 'length', value: '8' },
      ],
    },
  ]);
});
