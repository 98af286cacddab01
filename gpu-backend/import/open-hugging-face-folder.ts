import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { BUNDLE_FILES, GENERATION_CONFIG } from '#gpu-backend/model/bundle-files.ts';
import { CheckpointError } from '#gpu-backend/model/checkpoint-error.ts';
import { openSafetensors } from '#gpu-backend/model/open-safetensors.ts';
import { openShardedSafetensors } from '#gpu-backend/model/open-sharded-safetensors.ts';
import { parseJsonObject } from '#gpu-backend/model/parse-json-object.ts';
import type { TensorSource } from '#gpu-backend/model/tensor-source.ts';
import { type ModelSource, noChatTemplate } from './model-source.ts';
import { exists, readIfThere, readSmallText } from './read-text.ts';

const INDEX = 'model.safetensors.index.json';
const README = 'README.md';

/** What a folder of a model holds besides its weights. */
type ModelTexts = Pick<
  ModelSource,
  'config' | 'tokenizer' | 'tokenizerConfig' | 'chatTemplate' | 'generationConfig' | 'licence'
>;

/** The texts of a folder as Transformers saves a model, as they are. Its weights may be missing. */
export async function readHuggingFaceTexts(
  folder: string,
  { chatTemplate }: { chatTemplate?: string | undefined } = {},
): Promise<ModelTexts> {
  const read = (file: string) => readSmallText(join(folder, file), file);
  const config = await read(BUNDLE_FILES.config);
  const tokenizer = await readTokenizer(folder);
  const tokenizerConfig = await read(BUNDLE_FILES.tokenizerConfig);
  const template = chatTemplate ?? (await readTemplate(folder, tokenizerConfig));
  const generationConfig = await readIfThere(folder, GENERATION_CONFIG);
  const licence = /^---\n(?:.*\n)*?license: *(\S+) *\n/.exec((await readIfThere(folder, README)) ?? '')?.[1];
  return {
    ...{ config, tokenizer, tokenizerConfig, chatTemplate: template },
    ...(generationConfig !== undefined && { generationConfig }),
    ...(licence !== undefined && { licence }),
  };
}

/** A folder as Transformers saves a model. Its texts are taken as they are. */
export async function openHuggingFaceFolder(
  folder: string,
  options: { chatTemplate?: string | undefined } = {},
): Promise<ModelSource> {
  const model = await readHuggingFaceTexts(folder, options);
  const { tensors, files } = await openWeights(folder);
  const texts = [BUNDLE_FILES.config, BUNDLE_FILES.tokenizer, BUNDLE_FILES.tokenizerConfig];
  return {
    ...model,
    format: 'safetensors',
    files: [...texts, ...files].map((name) => ({ name, path: join(folder, name) })),
    tensors,
  };
}

async function readTokenizer(folder: string): Promise<string> {
  const found = await readIfThere(folder, BUNDLE_FILES.tokenizer);
  if (found !== undefined) return found;
  const old = (await exists(join(folder, 'tokenizer.model'))) ? 'only tokenizer.model' : 'no such file';
  const wanted = 'tokenizer.json, as Transformers saves it: AutoTokenizer.from_pretrained(...).save_pretrained(...)';
  throw new CheckpointError(BUNDLE_FILES.tokenizer, { found: old, wanted });
}

/** One template, or several with names. */
const Templates = z.union([z.string(), z.array(z.looseObject({ name: z.string(), template: z.string() }))]);

/** Transformers prefers the file to the key, and the template `default` among several. */
async function readTemplate(folder: string, tokenizerConfig: string): Promise<string> {
  const own = await readIfThere(folder, BUNDLE_FILES.chatTemplate);
  if (own !== undefined) return own;
  const [file, key] = [BUNDLE_FILES.tokenizerConfig, 'chat_template'];
  const json = parseJsonObject(new TextEncoder().encode(tokenizerConfig.trimStart()), file, 'the whole file');
  const raw = new Map(json).get(key);
  if (raw === undefined || raw === null) throw noChatTemplate(file, key);
  const parsed = Templates.safeParse(raw);
  if (!parsed.success) {
    const fault = { key, found: 'another value', wanted: 'a text, or a list of templates with name and template' };
    throw new CheckpointError(file, fault);
  }
  if (typeof parsed.data === 'string') return parsed.data;
  const chosen = parsed.data.find(({ name }) => name === 'default');
  if (chosen !== undefined) return chosen.template;
  const found = parsed.data.map(({ name }) => JSON.stringify(name)).join(', ') || 'an empty list';
  throw new CheckpointError(file, {
    key,
    found,
    wanted: 'a template with the name "default", or --chat-template FILE',
  });
}

async function openWeights(folder: string): Promise<{ tensors: TensorSource; files: string[] }> {
  const single = BUNDLE_FILES.weights;
  if (await exists(join(folder, single))) {
    return { tensors: await openSafetensors(join(folder, single), single), files: [single] };
  }
  if (await exists(join(folder, INDEX))) {
    const tensors = await openShardedSafetensors(join(folder, INDEX), INDEX);
    // Opening has checked the index.
    const { weight_map: map } = JSON.parse(await readSmallText(join(folder, INDEX), INDEX)) as {
      weight_map: Record<string, string>;
    };
    return { tensors, files: [INDEX, ...[...new Set(Object.values(map))].sort()] };
  }
  const others = (await readdir(folder)).filter((name) => /\.(bin|pth?|safetensors|gguf)$/.test(name)).sort();
  const found = others.length > 0 ? others.slice(0, 5).join(', ') : 'no weights';
  throw new CheckpointError(folder, {
    found,
    wanted: `${single}, or ${INDEX} with its files (or a GGUF file by name)`,
  });
}
