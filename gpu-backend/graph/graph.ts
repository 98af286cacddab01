/**
 * A small typed builder of ONNX graphs.
 *
 * A `Value` knows its type and shape. Operators (`ops.ts`) are plain functions from values to
 * values. Besides the ONNX nodes, the graph keeps a **tape** with one entry per operator, which
 * `training/autodiff` walks backwards. An operator made of several nodes (`composite`) is one entry
 * on the tape, so its gradient can be written as a whole.
 */
import {
  type AttributeValue,
  type Dim,
  type DType,
  type ExternalData,
  encodeModel,
  type NodeSpec,
  type TensorSpec,
} from './onnx-format.ts';

export type Shape = readonly Dim[];

export type Value = {
  readonly graph: Graph;
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
};

export type TapeEntry = {
  readonly op: string;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly attributes: Readonly<Record<string, AttributeValue>>;
};

/** A node with its values, for code that reads a graph instead of running it. */
export type Operator = TapeEntry;

type OutputSpec = { dtype: DType; shape: Shape };

/** The nodes that run only if `condition` holds, and what they give. */
type Branch = { condition: Value; nodes: NodeSpec[]; outputs: { name: string; value: Value }[] };

export class Graph {
  readonly name: string;
  readonly tape: TapeEntry[] = [];
  #nodes: NodeSpec[] = [];
  readonly #initializers: TensorSpec[] = [];
  readonly #shared = new Map<string, Value>();
  readonly #inputs: Value[] = [];
  readonly #outputs: { name: string; value: Value }[] = [];
  readonly #values = new Map<string, Value>();
  readonly #constants = new Map<string, Value>();
  #branch: Branch | null = null;
  #next = 0;
  #recording = true;

  constructor(name: string) {
    this.name = name;
  }

  /** A tensor that is fed to every run. */
  input(name: string, dtype: DType, shape: Shape): Value {
    const value = this.#value(name, { dtype, shape });
    this.#inputs.push(value);
    return value;
  }

  /** A tensor stored in the model. Tools show it under this name. */
  initializer(
    name: string,
    dtype: DType,
    dims: readonly number[],
    data: Float32Array | Float64Array | BigInt64Array | Uint8Array,
  ): Value {
    const size = dims.reduce((a, b) => a * b, 1);
    if (data.length !== size) {
      throw new Error(`initializer ${name}: shape [${dims.join(', ')}] wants ${size} numbers, found ${data.length}`);
    }
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    this.#initializers.push({ name, dtype, dims, data: bytes });
    return this.#value(name, { dtype, shape: dims });
  }

  /**
   * Makes a value the first time and returns the same one from then on, for example a weight that
   * two passes over a model share.
   */
  once(name: string, make: () => Value): Value {
    const value = this.#shared.get(name) ?? make();
    this.#shared.set(name, value);
    return value;
  }

  /** A tensor whose bytes stay in another file. See `weightsFolder` in session.ts. */
  externalInitializer(name: string, dtype: DType, dims: readonly number[], data: ExternalData): Value {
    this.#initializers.push({ name, dtype, dims, data });
    return this.#value(name, { dtype, shape: dims });
  }

  /** A small constant. Equal ones are stored once. */
  constant(dtype: 'float' | 'double' | 'int64' | 'uint8', dims: readonly number[], data: readonly number[]): Value {
    const key = `${dtype}|${dims.join(',')}|${data.join(',')}`;
    const known = this.#constants.get(key);
    if (known !== undefined) return known;
    const typed =
      dtype === 'int64'
        ? BigInt64Array.from(data, BigInt)
        : dtype === 'double'
          ? Float64Array.from(data)
          : dtype === 'uint8'
            ? Uint8Array.from(data)
            : Float32Array.from(data);
    const value = this.initializer(`constant_${this.#constants.size}`, dtype, dims, typed);
    this.#constants.set(key, value);
    return value;
  }

  /**
   * Adds one node and one entry on the tape. Returns the outputs that are asked for: null in
   * `outputs` leaves an optional one out.
   */
  emit(
    op: string,
    inputs: readonly (Value | null)[],
    outputs: readonly (OutputSpec | null)[],
    { attributes = {}, domain = '' }: { attributes?: Record<string, AttributeValue>; domain?: string } = {},
  ): Value[] {
    for (const value of inputs) {
      if (value !== null && value.graph !== this) throw new Error(`${op}: ${value.name} belongs to another graph`);
    }
    const all = outputs.map((spec) => spec && this.#value(`${op}_${this.#next++}`, spec));
    const values = all.filter((value) => value !== null);
    this.#nodes.push({
      op,
      domain,
      inputs: inputs.map((value) => value?.name ?? ''),
      outputs: all.map((value) => value?.name ?? ''),
      attributes,
    });
    if (this.#recording) {
      this.tape.push({ op, inputs: inputs.filter((value) => value !== null), outputs: values, attributes });
    }
    return values;
  }

  /** Runs `build` with the tape off and records all of it as one operator. */
  composite(
    op: string,
    inputs: readonly Value[],
    build: () => Value[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
  ): Value[] {
    const outputs = this.withoutTape(build);
    if (this.#recording) this.tape.push({ op, inputs, outputs, attributes });
    return outputs;
  }

  /** Runs `build` without recording the nodes that it adds, because gradients need no gradients. */
  withoutTape<T>(build: () => T): T {
    const before = this.#recording;
    this.#recording = false;
    try {
      return build();
    } finally {
      this.#recording = before;
    }
  }

  /** Lets runs fetch a value under `name`. */
  output(name: string, value: Value): void {
    this.#outputs.push({ name, value });
  }

  /**
   * The nodes that `build` adds, and the outputs that it returns by name, are computed only in
   * runs where `condition`, one bool, is true. In other runs these outputs are empty. A graph has
   * at most one such part, and nothing may follow it.
   */
  onlyIf(condition: Value, build: () => ReadonlyMap<string, Value>): void {
    if (this.#branch !== null) throw new Error(`the graph ${this.name} has a conditional part already`);
    const before = this.#nodes;
    this.#nodes = [];
    const outputs = [...build()].map(([name, value]) => ({ name, value }));
    this.#branch = { condition, nodes: this.#nodes, outputs };
    this.#nodes = before;
  }

  /** The tensors that every run is fed. */
  get inputs(): readonly Value[] {
    return this.#inputs;
  }

  /** The values that runs can fetch. */
  get outputs(): readonly Value[] {
    return [...this.#outputs, ...(this.#branch?.outputs ?? [])].map(({ value }) => value);
  }

  /**
   * The nodes that the outputs depend on, in the order they were added: what a run has to compute.
   */
  operators(): Operator[] {
    const wanted = new Set(this.outputs.map(({ name }) => name));
    const valuesOf = (names: readonly string[]) => names.filter(Boolean).map((name) => this.#values.get(name)!);
    const operators: Operator[] = [];
    for (const { op, inputs, outputs, attributes } of [...this.#nodes, ...(this.#branch?.nodes ?? [])].toReversed()) {
      if (!outputs.some((name) => wanted.has(name))) continue;
      for (const name of inputs) wanted.add(name);
      operators.push({ op, inputs: valuesOf(inputs), outputs: valuesOf(outputs), attributes });
    }
    return operators.reverse();
  }

  /**
   * The graph as the bytes of an ONNX model. A node's output goes by the name under which it is
   * fetched. Only inputs, initializers and values with several such names are copied.
   */
  toModel(): Uint8Array {
    const branch = this.#branch;
    const { nodes, renamed } = withOutputs(this.#nodes, this.#outputs);
    const inner = branch && branchNode(branch, renamed);
    return encodeModel({
      name: this.name,
      nodes: inner === null ? nodes : [...nodes, inner],
      initializers: this.#initializers,
      inputs: this.#inputs,
      outputs: [...this.#outputs, ...(branch?.outputs ?? [])].map(specOf),
    });
  }

  #value(name: string, { dtype, shape }: OutputSpec): Value {
    if (this.#values.has(name)) throw new Error(`the graph has two values named "${name}"`);
    const value = { graph: this, name, dtype, shape };
    this.#values.set(name, value);
    return value;
  }
}

type Output = { name: string; value: Value };

const specOf = ({ name, value: { dtype, shape } }: Output) => ({ name, dtype, shape });

const copyOf = (from: string, to: string): NodeSpec => ({
  op: 'Identity',
  domain: '',
  inputs: [from],
  outputs: [to],
  attributes: {},
});

/**
 * The nodes, with each output under the name by which it is fetched, and the new names by the old.
 */
function withOutputs(nodes: readonly NodeSpec[], outputs: readonly Output[]) {
  const made = new Set(nodes.flatMap((node) => node.outputs));
  const renamed = new Map<string, string>();
  const copies: NodeSpec[] = [];
  for (const { name, value } of outputs) {
    if (made.has(value.name) && !renamed.has(value.name)) renamed.set(value.name, name);
    else copies.push(copyOf(value.name, name));
  }
  return { nodes: [...nodes, ...copies].map((node) => withNames(node, renamed)), renamed };
}

function withNames(node: NodeSpec, renamed: ReadonlyMap<string, string>): NodeSpec {
  const named = (names: readonly string[]) => names.map((name) => renamed.get(name) ?? name);
  return { ...node, inputs: named(node.inputs), outputs: named(node.outputs) };
}

/**
 * ONNX's `If`. Inside a branch every name must be new, so its outputs are copied to names of their
 * own. The other branch gives empty tensors.
 */
function branchNode({ condition, nodes, outputs }: Branch, renamed: ReadonlyMap<string, string>): NodeSpec {
  const inBranch = (of: string, name: string) => `${of} ${name}`;
  const empty = ({ name, value: { dtype } }: Output): NodeSpec => ({
    op: 'Constant',
    domain: '',
    inputs: [],
    outputs: [inBranch('else', name)],
    attributes: { value: { tensor: { dtype, dims: [0], data: new Uint8Array(0) } } },
  });
  const branch = (of: string, inside: readonly NodeSpec[], shapeOf: (value: Value) => Shape) => ({
    graph: {
      name: of,
      nodes: inside.map((node) => withNames(node, renamed)),
      outputs: outputs.map(({ name, value }) => ({
        name: inBranch(of, name),
        dtype: value.dtype,
        shape: shapeOf(value),
      })),
    },
  });
  const copies = outputs.map(({ name, value }) => copyOf(value.name, inBranch('then', name)));
  return {
    op: 'If',
    domain: '',
    inputs: [renamed.get(condition.name) ?? condition.name],
    outputs: outputs.map(({ name }) => name),
    attributes: {
      then_branch: branch('then', [...nodes, ...copies], ({ shape }) => shape),
      else_branch: branch('else', outputs.map(empty), () => [0]),
    },
  };
}
