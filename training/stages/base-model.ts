/**
 * Loads the trained base for the other stages: its config and its weights in kernel layout, from a
 * run of stage `sft`.
 */
import { BUNDLE_FILES } from '#gpu-backend/model/bundle-files.ts';
import { DecoderConfig, weightShapes } from '#gpu-backend/model/config.ts';
import { isLinear, transposeLinear } from '#gpu-backend/model/kernel-layout.ts';
import { loadBundle } from '#gpu-backend/model/load-bundle.ts';
import type { Tensor } from '#gpu-backend/model/tensor.ts';
import type { Parameters } from '../optim/adamw.ts';
import { loadCheckpoint } from '../run/checkpoint.ts';
import type { RunState } from '../run/checkpoint-files.ts';
import type { TrainingTokenizer } from '../tokenizer/chat-files.ts';
import { assertTokenizer } from './assert-tokenizer.ts';
import { readStageFile } from './stage-file.ts';

export type BaseModel = { config: DecoderConfig; weights: Parameters; state: RunState; tokenizer: TokenizerId };

/** The facts that tell one tokenizer from another. */
export type TokenizerId = Pick<TrainingTokenizer, 'digest' | 'vocabSize'>;

/** The weights' shapes in the graphs, where linear weights are `[in, out]`. */
export function kernelShapes(config: DecoderConfig): Map<string, number[]> {
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
 * The model will be used with `tokenizer`. It must also be the tokenizer that it was trained with.
 */
export async function loadBaseModel(dir: string, tokenizer: TokenizerId): Promise<BaseModel> {
  const config = await readStageFile(dir, BUNDLE_FILES.config, { schema: DecoderConfig, stage: 'sft' });
  const weights = emptyTensors(kernelShapes(config));
  const state = await loadCheckpoint(dir, { parameters: weights });
  if (state === null) throw new Error(`${dir} holds no checkpoint: run the stage sft first`);
  assertTokenizer(dir, state, tokenizer);
  assertVocabulary(tokenizer, config);
  return { config, weights, state, tokenizer };
}

/** Throws if the model has too few tokens. It may have more than the tokenizer. */
export function assertVocabulary({ vocabSize }: TokenizerId, config: DecoderConfig): void {
  if (vocabSize > config.vocab_size) {
    throw new Error(`the tokenizer has ${vocabSize} tokens, the model only ${config.vocab_size}`);
  }
}

/**
 * Loads the base from a bundle, in the precision of the bundle's type. This is for users who have
 * the bundle but not the runs that made it.
 */
export async function baseOfBundle(dir: string, tokenizer: TokenizerId): Promise<BaseModel> {
  const { config, weights } = await loadBundle(dir);
  const state = { step: 0, tokens: 0, seconds: 0, settings: {} };
  // Changing the layout twice gives the original, so this also converts in the other direction.
  return { config, weights: toHuggingFace(weights), state, tokenizer };
}

/** Converts the weights to Hugging Face's layout, where linear weights are `[out, in]`. */
export function toHuggingFace(weights: Parameters): Map<string, Tensor> {
  return new Map(
    [...weights].map(([name, tensor]) => {
      const { shape, data } = transposeLinear(name, tensor);
      return [name, { shape: [...shape], data }];
    }),
  );
}
