/**
 * Turns a bundle's weights into those of the serving graph: the base as it is stored, and experts
 * and routers side by side.
 */
import type { Provider } from '../graph/provider.ts';
import { type Expert, type ExpertModule, moduleRank } from '../model/adapter.ts';
import { baseInFile, baseInMemory } from '../model/base-storage.ts';
import { linearModules } from '../model/linear-modules.ts';
import type { Bundle, ServedBundle } from '../model/load-bundle.ts';
import type { LayersRouter } from '../model/router.ts';
import type { ServingExperts, ServingWeights, StackedLora } from '../model/serving-graph.ts';

/** A bundle in memory, or one whose base stays in its file. */
export type ServableBundle = Pick<Bundle, 'config' | 'experts' | 'routers'> & { probe?: Bundle['probe'] } & (
    | Pick<Bundle, 'weights'>
    | Pick<ServedBundle, 'base'>
  );

/** Whether prompts and answers are multiplied differently: then each has a graph of its own. */
export const isMixed = (bundle: ServableBundle): boolean =>
  'base' in bundle && bundle.base.quantised?.arithmetic === 'mixed';

/**
 * Everything that `buildServingGraph` needs besides the config.
 *
 * @param reads what the graph is for; it matters only if `isMixed`
 */
export function servingWeights(
  bundle: ServableBundle,
  { provider = 'cpu', reads = 'answer' }: { provider?: Provider | undefined; reads?: 'prompt' | 'answer' } = {},
): ServingWeights {
  const { config } = bundle;
  const base =
    'base' in bundle
      ? baseInFile(bundle.base, config, { rowsInF32: provider === 'webgpu', reads })
      : baseInMemory(bundle.weights, config);
  return { base, lora: servingExperts(bundle) };
}

/** The experts of a bundle as the graph reads them; null if every one is the base alone. */
function servingExperts({ config, experts, routers }: ServableBundle): ServingExperts | null {
  const modules = new Map<string, StackedLora>();
  for (const [name, { inputs, outputs }] of linearModules(config)) {
    const own = experts.map((expert) => expert.modules.get(name) ?? null);
    if (own.some((module) => module !== null)) modules.set(name, stackExperts(own, { inputs, outputs }));
  }
  if (modules.size === 0) return null;
  return { count: experts.length, modules, router: routers.layers && stackRouter(routers.layers, experts) };
}

/**
 * `weight [F, E]` and `bias [E]` of each layer, with a column for each expert in the bundle's
 * order: alpha for the safety expert, beta for the other.
 */
function stackRouter({ layers }: LayersRouter, experts: readonly Expert[]): ServingExperts['router'] {
  return layers.map(({ alpha, beta }) => {
    const gates = experts.map(({ role }) => (role === 'safety' ? alpha : beta));
    const F = alpha.weight.length;
    const weight = Float32Array.from({ length: F * gates.length }, (_, i) => {
      return gates[i % gates.length]!.weight[Math.floor(i / gates.length)]!;
    });
    const bias = Float32Array.from(gates, (gate) => gate.bias);
    return { weight: { shape: [F, gates.length], data: weight }, bias: { shape: [gates.length], data: bias } };
  });
}

/**
 * Puts the experts of one module side by side: `a [inputs, R]` and `b [R, outputs]`, where R is the
 * sum of their ranks. `b` includes the scale.
 */
function stackExperts(
  own: readonly (ExpertModule | null)[],
  { inputs, outputs }: { inputs: number; outputs: number },
): StackedLora {
  const ranks = own.map((module) => (module === null ? 0 : moduleRank(module)));
  const wide = ranks.reduce((sum, rank) => sum + rank, 0);
  const a = new Float32Array(inputs * wide);
  const b = new Float32Array(wide * outputs);
  let column = 0;
  for (const module of own) {
    if (module === null) continue;
    const { a: down, b: up, scale } = module; // [rank, inputs], [outputs, rank]
    const rank = moduleRank(module);
    for (let r = 0; r < rank; r++, column++) {
      for (let i = 0; i < inputs; i++) a[i * wide + column] = down.data[r * inputs + i]!;
      for (let o = 0; o < outputs; o++) b[column * outputs + o] = scale * up.data[o * rank + r]!;
    }
  }
  return { ranks, a: { shape: [inputs, wide], data: a }, b: { shape: [wide, outputs], data: b } };
}
