/**
 * Reads what MidPO's published code (github.com/OutdoorManofML/MidPO, arXiv 2506.02460) trains: two
 * experts on `down_proj` and a router. The authors released code and no weights. Their experts are
 * ordinary PEFT folders, and their router is a `router.pth` (`layer_0_alpha` and so on). The model
 * class that puts them together, in `llama_with_router.py`, names its weights like this, where
 * lora_0 and alpha_ belong to the safety expert, lora_1 and beta_ to the helpfulness expert, and n
 * is 512:
 *
 *   model.layers.{i}.mlp.lora_0.linear1.weight                        [r, F]  A
 *   model.layers.{i}.mlp.lora_0.linear2.weight                        [d, r]  B
 *   model.layers.{i}.mlp.router_layers.alpha_.linear_0.weight, .bias  [n, F], [n]
 *   model.layers.{i}.mlp.router_layers.alpha_.linear_1.weight, .bias  [F, n], [F]
 *   model.layers.{i}.mlp.router_layers.alpha_.linear_2.weight, .bias  [1, F], [1]
 *
 * Nothing stands between the three linear layers of a gate, so they fold into one.
 */
import type { Expert, ExpertModule } from '#gpu-backend/model/adapter.ts';
import { CheckpointError } from '#gpu-backend/model/checkpoint-error.ts';
import type { DecoderConfig } from '#gpu-backend/model/config.ts';
import { assertFinite } from '#gpu-backend/model/finite-check.ts';
import { downProj } from '#gpu-backend/model/linear-modules.ts';
import type { ExpertRole } from '#gpu-backend/model/manifest.ts';
import type { LayersRouter, RouterGate } from '#gpu-backend/model/router.ts';
import { formatShape, type Tensor } from '#gpu-backend/model/tensor.ts';
import type { TensorSource } from '#gpu-backend/model/tensor-source.ts';

/**
 * What MidPO's code multiplies its experts with when it trains and evaluates them: lora_alpha 32
 * over r 16. The checkpoint itself does not say. (It trains its router with 1.)
 */
const SCALE = 2;

const LORA = { safety: 'lora_0', helpfulness: 'lora_1' } as const satisfies Record<ExpertRole, string>;

/** Whether a tensor of such a checkpoint belongs to an expert or a router, and not to the base. */
export const isMidpoTensor = (name: string) => /\.mlp\.(?:lora_\d+|router_layers)\.|^layer_\d+_/.test(name);

/**
 * Both experts and the router of a checkpoint of the whole model.
 *
 * @param config of the base, whose own tensors are left to the caller
 * @throws {CheckpointError} if a tensor is missing, has another shape, has numbers that are not
 *   finite, or belongs to neither
 */
export async function readMidpo(
  source: TensorSource,
  config: DecoderConfig,
): Promise<{ experts: Expert[]; router: LayersRouter }> {
  const reading = new Reading(source);
  const experts = [await readExpert(reading, 'safety', config), await readExpert(reading, 'helpfulness', config)];
  const router = await readRouter(reading, config, inModel);
  reading.refuseOthers();
  return { experts, router };
}

/**
 * The router alone, from the tensors of `router.pth` saved as safetensors, under names such as
 * `layer_0_alpha.linear_0.weight`. Errors as above. In Python:
 *
 *     gates = torch.load("router.pth", map_location="cpu", weights_only=True)
 *     flat = {f"{gate}.{name}": t for gate, state in gates.items() for name, t in state.items()}
 *     safetensors.torch.save_file(flat, "router.safetensors")
 */
export async function readMidpoRouter(source: TensorSource, config: DecoderConfig): Promise<LayersRouter> {
  const reading = new Reading(source);
  const router = await readRouter(reading, config, inRouterFile);
  reading.refuseOthers();
  return router;
}

/**
 * One pass over a source, which remembers what it has read. It checks shapes as it goes, not with
 * `checkShapes`, because only the file knows the ranks and the gates' widths.
 */
class Reading {
  readonly #source: TensorSource;
  readonly #read = new Set<string>();

  constructor(source: TensorSource) {
    this.#source = source;
  }

  /** The first size of a tensor's shape, which only the file knows: a rank, or a gate's width. */
  rows(name: string): number {
    return this.#source.info(name).shape[0] ?? 0;
  }

  async tensor(name: string, shape: readonly number[]): Promise<Tensor> {
    const found = formatShape(this.#source.info(name).shape);
    if (found !== formatShape(shape)) this.#fail(name, `shape ${found}`, formatShape(shape));
    if (shape.includes(0)) this.#fail(name, `shape ${found}`, 'at least one row');
    const data = await this.#source.read(name);
    assertFinite(data, 'F32', { file: this.#source.file, key: `tensor ${name}` });
    this.#read.add(name);
    return { shape: [...shape], data };
  }

  refuseOthers(): void {
    const other = this.#source.names().find((name) => isMidpoTensor(name) && !this.#read.has(name));
    if (other === undefined) return;
    this.#fail(other, 'a tensor of this name', 'only the experts and gates of the layers of config.json');
  }

  #fail(name: string, found: string, wanted: string): never {
    throw new CheckpointError(this.#source.file, { key: `tensor ${name}`, found, wanted });
  }
}

async function readExpert(reading: Reading, role: ExpertRole, config: DecoderConfig): Promise<Expert> {
  const { hidden_size: d, intermediate_size: F, num_hidden_layers: layers } = config;
  const modules = new Map<string, ExpertModule>();
  let most = 0;
  for (let layer = 0; layer < layers; layer++) {
    const part = (name: string) => `model.layers.${layer}.mlp.${LORA[role]}.${name}.weight`;
    const rank = reading.rows(part('linear1'));
    const a = await reading.tensor(part('linear1'), [rank, F]);
    const b = await reading.tensor(part('linear2'), [d, rank]);
    modules.set(downProj(layer), { a, b, scale: SCALE });
    most = Math.max(most, rank);
  }
  return { name: role, role, rank: most, alpha: SCALE * most, modules };
}

type Gate = 'alpha' | 'beta';
const inModel = (layer: number, gate: Gate) => `model.layers.${layer}.mlp.router_layers.${gate}_`;
const inRouterFile = (layer: number, gate: Gate) => `layer_${layer}_${gate}`;

/** One gate at a time is in memory, beside what has been folded. */
async function readRouter(
  reading: Reading,
  { intermediate_size: F, num_hidden_layers }: DecoderConfig,
  nameOf: typeof inModel,
): Promise<LayersRouter> {
  const gate = async (layer: number, gate: Gate): Promise<RouterGate> => {
    const linear = async (i: number, [outputs, inputs]: [outputs: number, inputs: number]): Promise<Linear> => {
      const name = `${nameOf(layer, gate)}.linear_${i}`;
      const weight = await reading.tensor(`${name}.weight`, [outputs, inputs]);
      return { weight, bias: await reading.tensor(`${name}.bias`, [outputs]) };
    };
    const width = reading.rows(`${nameOf(layer, gate)}.linear_0.weight`);
    return fold([await linear(0, [width, F]), await linear(1, [F, width]), await linear(2, [1, F])]);
  };
  const layers: LayersRouter['layers'] = [];
  for (let layer = 0; layer < num_hidden_layers; layer++) {
    layers.push({ alpha: await gate(layer, 'alpha'), beta: await gate(layer, 'beta') });
  }
  return { variant: 'faithful', layers };
}

type Linear = { weight: Tensor; bias: Tensor };

/**
 * One gate for a chain of linear layers, first to last, of which the last has one output. From the
 * last to the first, `w . (W x + b) + c` is `(w W) . x + (w . b + c)`. In float64.
 */
function fold(chain: readonly Linear[]): RouterGate {
  let weights = Float64Array.of(1);
  let constant = 0;
  for (const { weight, bias } of chain.toReversed()) {
    const inputs = weight.shape[1]!;
    const before = new Float64Array(inputs);
    for (const [row, w] of weights.entries()) {
      constant += w * bias.data[row]!;
      for (let i = 0; i < inputs; i++) before[i]! += w * weight.data[row * inputs + i]!;
    }
    weights = before;
  }
  return { weight: Float32Array.from(weights), bias: constant };
}
