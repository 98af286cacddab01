import { basename } from 'node:path';
import { asHuggingFace } from '#gpu-backend/gguf/as-hugging-face.ts';
import { openGguf } from '#gpu-backend/gguf/open-gguf.ts';
import { ggufConfig, ROPE_FACTORS } from './gguf-config.ts';
import { GgufMetadata } from './gguf-metadata.ts';
import { ggufTokenizer } from './gguf-tokenizer.ts';
import { type ModelSource, noChatTemplate } from './model-source.ts';

/** A GGUF file has everything: the texts of a bundle are made from its metadata. */
export async function openGgufModel(
  path: string,
  { chatTemplate }: { chatTemplate?: string | undefined } = {},
): Promise<ModelSource> {
  const name = basename(path);
  const gguf = await openGguf(path, name);
  try {
    // This knows the architecture, so it comes first.
    const tensors = asHuggingFace(gguf, { without: [ROPE_FACTORS] });
    const tokenizer = ggufTokenizer(gguf);
    const template = chatTemplate ?? tokenizer.chatTemplate;
    if (template === undefined) throw noChatTemplate(name, 'tokenizer.chat_template');
    const config = await ggufConfig(gguf, tokenizer);
    const licence = new GgufMetadata(gguf).text('general.license');
    return {
      format: 'gguf',
      files: [{ name, path }],
      config: toJson(config),
      tokenizer: toJson(tokenizer.json),
      tokenizerConfig: toJson(tokenizer.config),
      chatTemplate: template,
      tensors,
      ...(licence !== undefined && { licence }),
    };
  } catch (error) {
    await gguf.close();
    throw error;
  }
}

const toJson = (value: unknown) => `${JSON.stringify(value, null, 1)}\n`;
