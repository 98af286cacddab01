/** Loads a trained expert as constants for another stage: the LoRA from a run of stage `expert`. */
import * as z from 'zod';
import { ExpertRole } from '#gpu-backend/model/manifest.ts';
import { DEFAULT_TARGETS, type FrozenExpert, frozenExpert, loraShapes } from '../graphs/lora.ts';
import { loadTrained } from '../run/checkpoint.ts';
import { assertSameModel, type Parent } from './assert-same-model.ts';
import { type BaseModel, emptyTensors } from './base-model.ts';
import { readStageFile } from './stage-file.ts';

export const ADAPTER_FILE = 'adapter.json';
const AdapterJson = z.strictObject({
  role: ExpertRole,
  rank: z.int(),
  alpha: z.number(),
  /** The modules with LoRA. Runs of older versions do not say: they all trained `mlp.down_proj`. */
  targets: z
    .array(z.string())
    .min(1)
    .default([...DEFAULT_TARGETS]),
});

export type AdapterJson = z.infer<typeof AdapterJson>;

export type ExpertWeights = AdapterJson &
  Parent & {
    /** Unscaled. */
    modules: FrozenExpert;
  };

/**
 * Throws if the expert was trained on another base or with another tokenizer, or if it is not of
 * the role `wanted`.
 */
export async function loadExpertWeights(
  dir: string,
  base: BaseModel,
  { wanted }: { wanted?: ExpertRole } = {},
): Promise<ExpertWeights> {
  const { config } = base;
  const adapter = await readStageFile(dir, ADAPTER_FILE, { schema: AdapterJson, stage: 'expert' });
  if (wanted !== undefined && adapter.role !== wanted) {
    throw new Error(`${dir}: found the ${adapter.role} expert, wanted the ${wanted} expert`);
  }
  const parameters = emptyTensors(loraShapes(config, adapter.rank, adapter.targets));
  const state = await loadTrained(dir, { parameters, stage: `expert --role ${adapter.role}` });
  assertSameModel(dir, state, base);
  const modules = frozenExpert(parameters, config, adapter.targets);
  return { ...adapter, modules, dir, digest: state.digest };
}
