/** Stage `export`: base, tokenizer and experts as one bundle on disk. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import type { Expert } from '#gpu-backend/model/adapter.ts';
import { transposeMatrix } from '#gpu-backend/model/kernel-layout.ts';
import { ExpertRole, type Manifest } from '#gpu-backend/model/manifest.ts';
import { NO_ROUTERS } from '#gpu-backend/model/router.ts';
import { writeBundle } from '#gpu-backend/model/write-bundle.ts';
import type { WeightType } from '#gpu-backend/model/write-safetensors.ts';
import { loraShapes } from '../graphs/training-inputs.ts';
import { loadCheckpoint } from '../run/checkpoint.ts';
import { readChatFiles } from '../tokenizer/chat-files.ts';
import { type BaseModel, emptyTensors, loadBaseModel, toHuggingFace } from './base-model.ts';

/** Written by stage `expert` beside its checkpoints. */
const AdapterJson = z.strictObject({ role: ExpertRole, rank: z.int(), alpha: z.number() });

export type ExportOptions = {
  out: string;
  tokenizer: string;
  /** The run of stage `sft`. */
  base: string;
  /** The runs of stage `expert`, or `base` to export the base itself under both roles (for comparison). */
  experts: readonly string[] | 'base';
  manifest: Omit<Manifest, 'format' | 'experts' | 'router'>;
  dtype?: WeightType;
};

/** Writes the bundle and returns its digest. */
export async function exportStage(options: ExportOptions): Promise<string> {
  const base = await loadBaseModel(options.base);
  const experts =
    options.experts === 'base'
      ? ExpertRole.options.map((role) => neutralExpert(role, base))
      : await Promise.all(options.experts.map((dir) => readExpert(dir, base)));
  return writeBundle(
    options.out,
    {
      config: base.config,
      ...(await readChatFiles(options.tokenizer)),
      weights: toHuggingFace(base.weights),
      experts,
      routers: NO_ROUTERS,
      manifest: options.manifest,
    },
    { dtype: options.dtype ?? 'f16' },
  );
}

async function readExpert(dir: string, { config }: BaseModel): Promise<Expert> {
  const { role, rank, alpha } = AdapterJson.parse(JSON.parse(await readFile(path.join(dir, 'adapter.json'), 'utf8')));
  const parameters = emptyTensors(loraShapes(config, rank));
  if ((await loadCheckpoint(dir, { parameters })) === null) {
    throw new Error(`${dir} holds no checkpoint: run the stage expert --role ${role} first`);
  }
  const turned = (name: string) => {
    const { shape, data } = parameters.get(name)!;
    const [rows, columns] = shape as [number, number];
    return { shape: [columns, rows], data: transposeMatrix(data, rows, columns) };
  };
  const layers = Array.from({ length: config.num_hidden_layers }, (_, layer) => ({
    a: turned(`lora.${layer}.a`), // [r, F]
    b: turned(`lora.${layer}.b`), // [d, r]
  }));
  return { name: role, role, rank, alpha, layers };
}

/** An expert that changes nothing. */
function neutralExpert(role: ExpertRole, { config }: BaseModel): Expert {
  const zeros = (shape: [number, number]) => ({ shape, data: new Float32Array(shape[0] * shape[1]) });
  const layers = Array.from({ length: config.num_hidden_layers }, () => ({
    a: zeros([1, config.intermediate_size]),
    b: zeros([config.hidden_size, 1]),
  }));
  return { name: role, role, rank: 1, alpha: 1, layers };
}
