/** An onnxruntime session over one of our graphs, with plain typed arrays in and out. */
import * as ort from './onnxruntime.ts';
import { type Provider, ProviderError } from './provider.ts';

export type Feed = { dims: readonly number[]; data: Float32Array | Float64Array | BigInt64Array };

/**
 * An output that stayed on the device, to be fed to a later run of the same session. Only `dispose`
 * gives its memory back. It cannot be read here: asked for the data of a GPU's buffer,
 * onnxruntime-node 1.30.0 ends the process ("terminate called after throwing an instance of 'char
 * const*'").
 */
export class DeviceTensor {
  readonly tensor: ort.Tensor;

  constructor(tensor: ort.Tensor) {
    this.tensor = tensor;
  }

  dispose(): void {
    this.tensor.dispose();
  }
}

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
  /**
   * Outputs that stay where they were computed if they are kept (`runAndKeep`): on WebGPU, on the
   * device. CUDA's come back all the same.
   */
  onDevice?: readonly string[];
  /** The folder of the files in which external initializers are. onnxruntime maps these files. */
  weightsFolder?: string;
  /**
   * Whether threads stay awake for a moment after a run, to be ready for the next one. Where two
   * sessions take turns, only the busier one should: its threads would take time from the other.
   */
  spinning?: boolean;
};

/**
 * How long a thread that has nothing to do spins before it sleeps, in microseconds. A step has
 * hundreds of short products, and waking a thread for each costs a tenth of a step. Spinning for as
 * long as onnxruntime does by default, though, takes cores from everything else that runs, and the
 * step then waits for that. One row of SmolLM2-135M in f32, ms a step (lowest, median) on two cores
 * that were shared for part of the time: 23 and 54 by default, 26 and 33 without spinning, 22 and
 * 32 with this.
 */
const SPIN_US = '50';

export class GraphSession {
  readonly #session: ort.InferenceSession;
  readonly #profiled: boolean;
  readonly #onDevice: ReadonlySet<string>;

  private constructor(
    session: ort.InferenceSession,
    { profiled, onDevice }: { profiled: boolean; onDevice: readonly string[] },
  ) {
    this.#session = session;
    this.#profiled = profiled;
    this.#onDevice = new Set(onDevice);
  }

  /**
   * Throws a ProviderError if the provider cannot run on this machine, and onnxruntime's own error
   * if the model is at fault. Only one thread of a process may use WebGPU: two that run at the same
   * time crash the process.
   */
  static async create(
    model: Uint8Array,
    { threads = 0, provider = 'cpu', profile, onDevice = [], weightsFolder, spinning = true }: SessionOptions = {},
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
          intra_op: spinning ? { spin_duration_us: SPIN_US } : { allow_spinning: '0' },
        },
      },
      ...(onDevice.length > 0 && {
        preferredOutputLocation: Object.fromEntries(
          onDevice.map((name) => [name, provider === 'webgpu' ? ('gpu-buffer' as const) : ('cpu' as const)]),
        ),
      }),
      ...(profile !== undefined && { enableProfiling: true, profileFilePrefix: profile }),
    }).catch((error: Error) => {
      throw notThere(provider, error) ?? error;
    });
    return new GraphSession(session, { profiled: profile !== undefined, onDevice });
  }

  /**
   * Blocks its thread while it runs, as onnxruntime-node does. Outputs are fresh copies; inputs are
   * read in place.
   */
  async run(feeds: Readonly<Record<string, Feed>>, fetches?: readonly string[]): Promise<Record<string, Float32Array>> {
    return (await this.runAndKeep(feeds, { fetches: fetches ?? this.#session.outputNames, keep: [] })).outputs;
  }

  /** Like `run`. The outputs in `keep`, some of `onDevice`, stay on the device. */
  async runAndKeep(
    feeds: Readonly<Record<string, Feed | DeviceTensor>>,
    { fetches, keep }: { fetches: readonly string[]; keep: readonly string[] },
  ): Promise<{ outputs: Record<string, Float32Array>; kept: DeviceTensor[] }> {
    const inputs: Record<string, ort.Tensor> = {};
    for (const [name, feed] of Object.entries(feeds)) {
      inputs[name] = feed instanceof DeviceTensor ? feed.tensor : tensor(feed.data, feed.dims);
    }
    // With outputs on a device, onnxruntime-node refuses to fetch fewer than all.
    const names = this.#onDevice.size > 0 ? this.#session.outputNames : fetches;
    const all = await this.#session.run(inputs, [...names]);
    for (const name of this.#onDevice) if (!keep.includes(name)) all[name]!.dispose();
    return {
      outputs: Object.fromEntries(fetches.map((name) => [name, numbers(all[name]!)])),
      kept: keep.map((name) => new DeviceTensor(all[name]!)),
    };
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

/**
 * Every output of our graphs is float, except in gradient tests. There it is double, but those
 * tests too read plain numbers from it.
 */
const numbers = ({ data }: ort.Tensor) => data as Float32Array;

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
