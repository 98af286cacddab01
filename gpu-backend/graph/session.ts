/** An onnxruntime session over one of our graphs, with plain typed arrays in and out. */
import * as ort from './onnxruntime.ts';

export type Feed = { dims: readonly number[]; data: Float32Array | Float64Array | BigInt64Array };

export type SessionOptions = {
  /** Threads inside one operator; 0 lets onnxruntime use all cores. */
  threads?: number;
};

export class GraphSession {
  readonly #session: ort.InferenceSession;

  private constructor(session: ort.InferenceSession) {
    this.#session = session;
  }

  static async create(model: Uint8Array, { threads = 0 }: SessionOptions = {}): Promise<GraphSession> {
    return new GraphSession(
      await ort.InferenceSession.create(model, {
        executionProviders: ['cpu'],
        intraOpNumThreads: threads,
        // A memory pattern is planned for one shape. With varying shapes it only holds on to memory
        // (measured: 1.98 GB with it, 1.36 GB without).
        enableMemPattern: false,
        // Hides warnings about initializers that constant folding left unused; they tell a user
        // nothing.
        logSeverityLevel: 3,
      }),
    );
  }

  /**
   * Blocks its thread while it runs, as onnxruntime-node does. Outputs are fresh copies; inputs are
   * read in place.
   */
  async run(feeds: Readonly<Record<string, Feed>>, fetches?: readonly string[]): Promise<Record<string, Float32Array>> {
    const inputs: Record<string, ort.Tensor> = {};
    for (const [name, { dims, data }] of Object.entries(feeds)) inputs[name] = tensor(data, dims);
    const outputs = await (fetches ? this.#session.run(inputs, [...fetches]) : this.#session.run(inputs));
    const results: Record<string, Float32Array> = {};
    // Every output of our graphs is float, except in gradient tests. There it is double, but those
    // tests too read plain numbers from it.
    for (const [name, value] of Object.entries(outputs)) results[name] = value.data as Float32Array;
    return results;
  }

  async release(): Promise<void> {
    await this.#session.release();
  }
}

function tensor(data: Feed['data'], dims: readonly number[]): ort.Tensor {
  if (data instanceof BigInt64Array) return new ort.Tensor('int64', data, dims);
  if (data instanceof Float64Array) return new ort.Tensor('float64', data, dims);
  return new ort.Tensor('float32', data, dims);
}

/** An int64 input from plain numbers. */
export function int64(dims: readonly number[], values: ArrayLike<number>): Feed {
  const data = new BigInt64Array(values.length);
  for (let i = 0; i < values.length; i++) data[i] = BigInt(values[i]!);
  return { dims, data };
}

export function float32(dims: readonly number[], data: Float32Array): Feed {
  return { dims, data };
}
