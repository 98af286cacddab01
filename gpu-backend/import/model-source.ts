/** What an import reads: a model's texts and its tensors, wherever they come from. */
import { CheckpointError } from '#gpu-backend/model/checkpoint-error.ts';
import type { TensorSource } from '#gpu-backend/model/tensor-source.ts';

export type ModelSource = {
  format: 'gguf' | 'safetensors';
  /** The source's own files: their names, and where they are. */
  files: { name: string; path: string }[];
  /** The texts of the bundle's files. The source of the template is Jinja. */
  config: string;
  tokenizer: string;
  tokenizerConfig: string;
  chatTemplate: string;
  generationConfig?: string;
  /** Under Hugging Face's names, rows in Hugging Face's order. */
  tensors: TensorSource;
  /** What the source calls its licence, in its own words. */
  licence?: string;
};

/** The error about a model without a chat template. */
export function noChatTemplate(file: string, key: string): CheckpointError {
  const wanted = 'a chat template; give one with --chat-template FILE';
  return new CheckpointError(file, { key, found: 'nothing', wanted });
}
