/** An onnxruntime session over one of our graphs, with plain typed arrays in and out. */
import * as ort from './onnxruntime.ts';
import { type Provider, ProviderError } from './provider.ts';

export type Feed = { dims: readonly number[]; data: Float32Array | Float64Array | BigInt64Array };

export type SessionOptions = {
  /** Threads inside one operator; 0 lets onnxruntime use all cores. */
  threads?: number;
  /**
   * What runs the graph. It never gives way to another provider as a whole. Single operators that
   * it lacks run on the CPU; a profile shows which.
   */
  provider?: Provider;
  /**
   * Where to write a profile when the session is released: the path of a file, without its ending.
   * onnxruntime adds a date. The profile says which operator ran where, and for how long.
   */
  profile?: string;
  /** The folder of the files in which external initializers are. onnxruntime maps these files. */
  weightsFolder?: string;
  /**
   * Whether threads stay awake for a moment after a run, to be ready for the next one. Where two
   * sessions take turns, only the busier one should: its threads would take time from the other.
   */
  spinning?: boolean;
};

export class GraphSession {
  readonly #session: ort.InferenceSession;
  readonly #profiled: boolean;

  private constructor(session: ort.InferenceSession, profiled: boolean) {
    this.#session = session;
    this.#profiled = profiled;
  }

  /**
   * Throws a ProviderError if the provider cannot run on this machine, and onnxruntime's own error
   * if the model is at fault. Only one thread of a process may use WebGPU: two that run at the same
   * time crash the process.
   */
  static async create(
    model: Uint8Array,
    { threads = 0, provider = 'cpu', profile, weightsFolder, spinning = true }: SessionOptions = {},
  ): Promise<GraphSession> {
    if (!ort.PROVIDERS.has(provider)) {
      throw new ProviderError(provider, `onnxruntime does not have it for ${process.platform} on ${process.arch}.`);
    }
    const session = await ort.InferenceSession.create(model, {
      executionProviders: [provider],
      intraOpNumThreads: threads,
      // A memory pattern is planned for one shape. With varying shapes it only holds on to memory
      // (measured: 1.98 GB with it, 1.36 GB without).
      enableMemPattern: false,
      // Hides warnings about initializers that constant folding left unused; they tell a user
      // nothing.
      logSeverityLevel: 3,
      extra: {
        session: {
          ...(weightsFolder !== undefined && { model_external_initializers_file_folder_path: weightsFolder }),
          ...(!spinning && { intra_op: { allow_spinning: '0' } }),
        },
      },
      ...(profile !== undefined && { enableProfiling: true, profileFilePrefix: profile }),
    }).catch((error: Error) => {
      throw notThere(provider, error) ?? error;
    });
    return new GraphSession(session, profile !== undefined);
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
    if (this.#profiled) this.#session.endProfiling();
    await this.#session.release();
  }
}

/** What onnxruntime says when a provider does not start. A bad model gives other errors. */
const NOT_THERE: Record<Provider, RegExp | null> = {
  cpu: null,
  webgpu: /Failed to get a WebGPU (adapter|device)[^\n]*/,
  cuda: /Failed to load shared library|CUDA (failure|error|driver)[^\n]*/i,
};

function notThere(provider: Provider, cause: Error): ProviderError | null {
  const found = NOT_THERE[provider]?.exec(cause.message);
  return found ? new ProviderError(provider, `${found[0]}.`, { cause }) : null;
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
