import { linearModules } from '../model/linear-modules.ts';
import type { ServableBundle } from './serving-weights.ts';

/** Modules that change a layer's own keys and values, and not only what comes after them. */
const MAKE_KEYS_AND_VALUES: ReadonlySet<string> = new Set(['self_attn.k_proj', 'self_attn.v_proj']);

/**
 * How many of the bottom layers have the same keys and values for the same tokens, whichever expert
 * or mixture of experts reads them: those below the lowest layer with an adapter, and that layer
 * itself unless the adapter changes its keys or values. So it is 1 for experts that change only
 * `down_proj`, and all layers for experts without adapters.
 */
export function sharedLayers({ config, experts }: Pick<ServableBundle, 'config' | 'experts'>): number {
  const changed = [...linearModules(config)].filter(([name]) => experts.some(({ modules }) => modules.has(name)));
  const lowest = Math.min(config.num_hidden_layers, ...changed.map(([, { layer }]) => layer));
  const changesOwn = changed.some(([, { layer, kind }]) => layer === lowest && MAKE_KEYS_AND_VALUES.has(kind));
  return Math.min(config.num_hidden_layers, changesOwn ? lowest : lowest + 1);
}
