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

export class Graph {
  readonly name: string;
  readonly tape: TapeEntry[] = [];
  readonly #nodes: NodeSpec[] = [];
  readonly #initializers: TensorSpec[] = [];
  readonly #shared = new Map<string, Value>();
  readonly #inputs: Value[] = [];
  readonly #outputs: { name: string; value: Value }[] = [];
  readonly #values = new Map<string, Value>();
  readonly #constants = new Map<string, Value>();
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

  /** The values that runs can fetch. */
  get outputs(): readonly Value[] {
    return this.#outputs.map(({ value }) => value);
  }

  /**
   * The nodes that the outputs depend on, in the order they were added: what a run has to compute.
   */
  operators(): Operator[] {
    const wanted = new Set(this.#outputs.map(({ value }) => value.name));
    const valuesOf = (names: readonly string[]) => names.filter(Boolean).map((name) => this.#values.get(name)!);
    const operators: Operator[] = [];
    for (const { op, inputs, outputs, attributes } of this.#nodes.toReversed()) {
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
    const made = new Set(this.#nodes.flatMap(({ outputs }) => outputs));
    const renamed = new Map<string, string>();
    const copies: NodeSpec[] = [];
    for (const { name, value } of this.#outputs) {
      if (made.has(value.name) && !renamed.has(value.name)) renamed.set(value.name, name);
      else copies.push({ op: 'Identity', domain: '', inputs: [value.name], outputs: [name], attributes: {} });
    }
    const named = (names: readonly string[]) => names.map((name) => renamed.get(name) ?? name);
    const nodes = [...this.#nodes, ...copies].map(({ inputs, outputs, ...node }) => ({
      ...node,
      inputs: named(inputs),
      outputs: named(outputs),
    }));
    return encodeModel({
      name: this.name,
      nodes,
      initializers: this.#initializers,
      inputs: this.#inputs,
      outputs: this.#outputs.map(({ name, value }) => ({ name, dtype: value.dtype, shape: value.shape })),
    });
  }

  #value(name: string, { dtype, shape }: OutputSpec): Value {
    if (this.#values.has(name)) throw new Error(`the graph has two values named "${name}"`);
    const value = { graph: this, name, dtype, shape };
    this.#values.set(name, value);
    return value;
  }
}
