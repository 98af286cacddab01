/** The models that the training bench builds: the demo's configuration in other sizes. */
import * as z from 'zod';
import type { DecoderConfig } from '#gpu-backend/model/config.ts';
import { DEMO } from '#lab/methods/recipe.ts';

export const TrainingSize = z.strictObject({
  width: z.int().min(8).multipleOf(8),
  layers: z.int().min(1),
  intermediate: z.int().min(1),
});
export type TrainingSize = z.infer<typeof TrainingSize>;

/** The demo's own shape, and about two and four times its parameters. */
export const DEFAULT_SIZES = '256/6/688,320/8/864,448/8/1216';

/**
 * Reads a list such as `256/6/688,320/8/864`. It must have at least two sizes, but three or more
 * show better how a figure grows.
 */
export function parseSizes(list: string): TrainingSize[] {
  const sizes = list.split(',').map((text) => {
    const [width, layers, intermediate, ...rest] = text.split('/').map(Number);
    const parsed = TrainingSize.safeParse({ width, layers, intermediate });
    if (!parsed.success || rest.length > 0) {
      throw new Error(`--sizes: "${text}" is no width/layers/intermediate of whole numbers, the width a multiple of 8`);
    }
    return parsed.data;
  });
  if (sizes.length < 2) throw new Error('--sizes: growth needs two sizes at least');
  return sizes;
}

export function sizeName({ width, layers, intermediate }: TrainingSize): string {
  return `${width}/${layers}/${intermediate}`;
}

/** Keeps the demo's heads, 4 on 2 key heads, for every width. */
export function sizeConfig({ width, layers, intermediate }: TrainingSize): DecoderConfig {
  return { ...DEMO.config, hidden_size: width, num_hidden_layers: layers, intermediate_size: intermediate };
}

/**
 * The models that we extrapolate to, used only for counting: the shapes of Llama 3.2 1B and Llama 2
 * 7B (MidPO's own base).
 */
export const LARGE_MODELS: Record<string, DecoderConfig> = {
  '1B (Llama 3.2)': {
    ...DEMO.config,
    vocab_size: 128_256,
    hidden_size: 2048,
    intermediate_size: 8192,
    num_hidden_layers: 16,
    num_attention_heads: 32,
    num_key_value_heads: 8,
  },
  '7B (Llama 2)': {
    ...DEMO.config,
    vocab_size: 32_000,
    hidden_size: 4096,
    intermediate_size: 11_008,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 32,
    tie_word_embeddings: false,
  },
};
