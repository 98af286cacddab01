/**
 * The trained base for the other stages: its config and its weights in kernel layout, from a run of
 * stage `sft`.
 */
import { BUNDLE_FILES } from '#gpu-backend/model/bundle-files.ts';
import { LlamaConfig, weightShapes } from '#gpu-backend/model/config.ts';
import { isLinear, transposeLinear } from '#gpu-backend/model/kernel-layout.ts';
import { loadBundle } from '#gpu-backend/model/load-bundle.ts';
import type { Tensor } from '#gpu-backend/model/tensor.ts';
import type { Parameters } from '../optim/adamw.ts';
import { loadCheckpoint } from '../run/checkpoint.ts';
import type { RunState } from '../run/checkpoint-files.ts';
import type { TrainingTokenizer } from '../tokenizer/chat-files.ts';
import { assertTokenizer } from './assert-tokenizer.ts';
import { readStageFile } from './stage-file.ts';

export type BaseModel = { config: LlamaConfig; weights: Parameters; state: RunState; tokenizer: TokenizerId };

/** What tells one tokenizer from another. */
export type TokenizerId = Pick<TrainingTokenizer, 'digest' | 'vocabSize'>;

/** Shapes for the graphs: linear weights are `[in, out]`. */
export function kernelShapes(config: LlamaConfig): Map<string, number[]> {
  return new Map(
    [...weightShapes(config)].map(([name, shape]) => [name, isLinear(name, shape) ? shape.toReversed() : shape]),
  );
}

export function emptyTensors(shapes: ReadonlyMap<string, readonly number[]>): Parameters {
  return new Map(
    [...shapes].map(([name, shape]) => [name, { shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) }]),
  );
}

/**
 * `tokenizer` is the one that the model will be used with. It must be the one it was trained with.
 */
export async function loadBaseModel(dir: string, tokenizer: TokenizerId): Promise<BaseModel> {
  const config = await readStageFile(dir, BUNDLE_FILES.config, { schema: LlamaConfig, stage: 'sft' });
  const weights = emptyTensors(kernelShapes(config));
  const state = await loadCheckpoint(dir, { parameters: weights });
  if (state === null) throw new Error(`${dir} holds no checkpoint: run the stage sft first`);
  assertTokenizer(dir, state, tokenizer);
  assertVocabulary(tokenizer, config);
  return { config, weights, state, tokenizer };
}

/** The config may have room for more tokens than there are. */
export function assertVocabulary({ vocabSize }: TokenizerId, config: LlamaConfig): void {
  if (vocabSize > config.vocab_size) {
    throw new Error(`the tokenizer has ${vocabSize} tokens, the model only ${config.vocab_size}`);
  }
}

/**
 * The base of a bundle, in its type's precision, for users who have the bundle but not the runs
 * that made it.
 */
export async function baseOfBundle(dir: string, tokenizer: TokenizerId): Promise<BaseModel> {
  const { config, weights } = await loadBundle(dir);
  const state = { step: 0, tokens: 0, seconds: 0, settings: {} };
  // The change of layout is its own inverse.
  return { config, weights: toHuggingFace(weights), state, tokenizer };
}

/** The same weights in Hugging Face's layout: linear ones are `[out, in]`. */
export function toHuggingFace(weights: Parameters): Map<string, Tensor> {
  return new Map(
    [...weights].map(([name, tensor]) => {
      const { shape, data } = transposeLinear(name, tensor);
      return [name, { shape: [...shape], data }];
    }),
  );
}
