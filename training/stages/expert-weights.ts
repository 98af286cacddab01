/** Loads a trained expert as constants for another stage: the LoRA from a run of stage `expert`. */
import * as z from 'zod';
import { ExpertRole } from '#gpu-backend/model/manifest.ts';
import type { FrozenExpert } from '../graphs/router-graph.ts';
import { loraShapes } from '../graphs/training-inputs.ts';
import { loadCheckpoint } from '../run/checkpoint.ts';
import { assertTokenizer } from './assert-tokenizer.ts';
import { type BaseModel, emptyTensors } from './base-model.ts';
import { readStageFile } from './stage-file.ts';

export const ADAPTER_FILE = 'adapter.json';
const AdapterJson = z.strictObject({ role: ExpertRole, rank: z.int(), alpha: z.number() });

export type AdapterJson = z.infer<typeof AdapterJson>;

export type ExpertWeights = AdapterJson & {
  /** By layer, unscaled: `a [F, r]`, `b [r, d]`. */
  layers: FrozenExpert;
};

export async function loadExpertWeights(dir: string, { config, tokenizer }: BaseModel): Promise<ExpertWeights> {
  const adapter = await readStageFile(dir, ADAPTER_FILE, { schema: AdapterJson, stage: 'expert' });
  const parameters = emptyTensors(loraShapes(config, adapter.rank));
  const state = await loadCheckpoint(dir, { parameters });
  if (state === null) throw new Error(`${dir} holds no checkpoint: run the stage expert --role ${adapter.role} first`);
  assertTokenizer(dir, state, tokenizer);
  const layers = Array.from({ length: config.num_hidden_layers }, (_, layer) => ({
    a: parameters.get(`lora.${layer}.a`)!,
    b: parameters.get(`lora.${layer}.b`)!,
  }));
  return { ...adapter, layers };
}
