/** Loads a trained expert as constants for another stage: the LoRA from a run of stage `expert`. */
import * as z from 'zod';
import { ExpertRole } from '#gpu-backend/model/manifest.ts';
import type { FrozenExpert } from '../graphs/router-graph.ts';
import { loraShapes } from '../graphs/training-inputs.ts';
import { loadTrained } from '../run/checkpoint.ts';
import { assertSameModel, type Parent } from './assert-same-model.ts';
import { type BaseModel, emptyTensors } from './base-model.ts';
import { readStageFile } from './stage-file.ts';

export const ADAPTER_FILE = 'adapter.json';
const AdapterJson = z.strictObject({ role: ExpertRole, rank: z.int(), alpha: z.number() });

export type AdapterJson = z.infer<typeof AdapterJson>;

export type ExpertWeights = AdapterJson &
  Parent & {
    /** By layer, unscaled: `a [F, r]`, `b [r, d]`. */
    layers: FrozenExpert;
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
  const parameters = emptyTensors(loraShapes(config, adapter.rank));
  const state = await loadTrained(dir, { parameters, stage: `expert --role ${adapter.role}` });
  assertSameModel(dir, state, base);
  const layers = Array.from({ length: config.num_hidden_layers }, (_, layer) => ({
    a: parameters.get(`lora.${layer}.a`)!,
    b: parameters.get(`lora.${layer}.b`)!,
  }));
  return { ...adapter, layers, dir, digest: state.digest };
}
