/** What a bundle is, as lines of a label and a text, for people. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { OWN_BASE } from '#gpu-backend/model/adapter.ts';
import { AdapterConfig } from '#gpu-backend/model/adapter-config.ts';
import { expertFiles, readJson } from '#gpu-backend/model/bundle-files.ts';
import { type DecoderConfig, eosIds, slidingWindow, weightShapes } from '#gpu-backend/model/config.ts';
import { familyOf } from '#gpu-backend/model/families.ts';
import type { ServedBundle } from '#gpu-backend/model/load-bundle.ts';
import type { Manifest } from '#gpu-backend/model/manifest.ts';
import { openSafetensors } from '#gpu-backend/model/open-safetensors.ts';
import { findWeights } from '#gpu-backend/model/shared-base.ts';
import { EMBEDDING_WEIGHT } from '#gpu-backend/model/table-names.ts';
import { elementCount } from '#gpu-backend/model/tensor.ts';
import { PLAIN_SAMPLING, type Sampling } from '#shared/api/sampling.ts';

export type DescriptionLine = readonly [label: string, text: string];

type Described = Omit<ServedBundle, 'experts'>;

export async function describeBundle(dir: string, bundle: Described): Promise<DescriptionLine[]> {
  const { id, digest, config, manifest, routers, tokenizer } = bundle;
  const shapes = [...weightShapes(config).values()];
  const parameters = shapes.reduce((sum, shape) => sum + elementCount(shape), 0);
  const window = slidingWindow(config);
  const experts: DescriptionLine[] = [];
  for (const expert of manifest.experts) experts.push(['expert', await expertText(dir, expert, bundle)]);
  return [
    ['id', id],
    ['digest', digest],
    ['family', `${config.model_type} (${familyOf(config).architecture})`],
    ['parameters', count(parameters)],
    ['shape', shapeText(config)],
    ['context', `${config.max_position_embeddings} tokens${window === null ? '' : `, each sees ${window}`}`],
    ['weights', await weightsText(dir, bundle)],
    ...(manifest.base === undefined ? [] : [['base', await sharedText(dir, manifest)] as const]),
    ['tokenizer', `${count(tokenizer.vocabSize)} tokens, ${eosIds(config).length} of them end an answer`],
    ...experts,
    [
      'router',
      `logits: ${routers.logits ? `width ${routers.logits.width}` : `none, ${manifest.default_weight} is proposed for every token`}`,
    ],
    ['router', `layers: ${routers.layers?.variant ?? "none, the mode 'layers' is not offered"}`],
    ['modes', routers.layers === null ? 'logits' : 'logits, layers'],
    ['sampling', samplingText(bundle.sampling)],
    ['licence', manifest.licence],
    ...(manifest.provenance.files ?? []).map(
      ({ name, bytes, sha256 }): DescriptionLine => ['source', `${name}, ${count(bytes)} bytes, sha256 ${sha256}`],
    ),
  ];
}

function samplingText(sampling: Described['sampling']): string {
  // The cast: `entries` forgets the names of the keys.
  const own = Object.entries(sampling).filter(([name, value]) => value !== PLAIN_SAMPLING[name as keyof Sampling]);
  return own.length === 0 ? 'plain' : own.map(([name, value]) => `${name} ${value}`).join(', ');
}

const shapeText = ({ num_hidden_layers: layers, hidden_size: d, vocab_size: v, ...heads }: DecoderConfig) =>
  `${layers} layers of ${d}, ${heads.num_attention_heads} heads with ${heads.num_key_value_heads} for keys, vocabulary ${v}`;

async function expertText(
  dir: string,
  { name, role, adapter = true }: Manifest['experts'][number],
  { prompts }: Described,
): Promise<string> {
  const prompt = prompts[role];
  const own = prompt === undefined ? [] : [`a system prompt of ${prompt.length} characters: ${firstLine(prompt)}`];
  if (!adapter) return [`${name}: ${role}`, prompt === undefined ? 'the base alone' : 'the base', ...own].join(', ');
  const files = expertFiles(name);
  const config = await readJson(dir, files.config, AdapterConfig);
  const { lora_alpha: alpha, base_model_name_or_path: base } = config;
  const tensors = await openSafetensors(join(dir, files.weights), files.weights);
  const shapes = tensors.names().map((tensor) => ({ tensor, shape: tensors.info(tensor).shape }));
  await tensors.close();
  const parameters = shapes.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  // lora_A is [rank, in].
  const downs = shapes.filter(({ tensor }) => tensor.endsWith('.lora_A.weight'));
  const ranks = new Set(downs.map(({ shape }) => shape[0]!).sort((a, b) => a - b));
  const targets = new Set(downs.map(({ tensor }) => tensor.split('.').at(-3)!));
  return [
    `${name}: ${role}`,
    `rank ${[...ranks].join('/')} on ${[...targets].join(', ')}`,
    `alpha ${alpha}`,
    `${count(parameters)} parameters`,
    ...(base == null || base === OWN_BASE ? [] : [`trained on ${JSON.stringify(base)}`]),
    ...own,
  ].join(', ');
}

function firstLine(text: string): string {
  const [line = ''] = text.split('\n');
  return JSON.stringify(line.length > 60 ? `${line.slice(0, 60)}...` : line);
}

/**
 * What the kernels hold: floats as f32, quantised weights as they are. A tied table of floats is
 * there twice, because its rows are read from the file.
 */
async function weightsText(dir: string, { base, config, manifest }: Described): Promise<string> {
  const { size } = await stat(await findWeights(dir, manifest));
  const tensors = [...base.tensors.entries()];
  const inMemory = tensors.reduce((sum, [name, { dtype, shape, bytes }]) => {
    if (base.quantised !== null && dtype === 'U8') return sum + bytes;
    const rows = config.tie_word_embeddings && name === EMBEDDING_WEIGHT ? bytes : 0;
    return sum + 4 * elementCount(shape) + rows;
  }, 0);
  const sizes = `${megabytes(size)} on disk, ${megabytes(inMemory)} in memory`;
  if (base.quantised !== null) {
    const { type, block, arithmetic } = base.quantised;
    return `${type} in blocks of ${block}, ${arithmetic} arithmetic, ${sizes}`;
  }
  return `${[...new Set(tensors.map(([, { dtype }]) => dtype))].sort().join(' and ')}, ${sizes}`;
}

async function sharedText(dir: string, manifest: Manifest): Promise<string> {
  return `shared with other bundles, in ${await findWeights(dir, manifest)}`;
}

const count = (number: number) => number.toLocaleString('en');
const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
