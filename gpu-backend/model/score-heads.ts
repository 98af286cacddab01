/**
 * The reward and the cost head of a bundle: each reads a whole conversation, end token included,
 * and gives one number, `weight . h + bias`, from the final-norm hidden state h of its last token
 * (Dai et al., "Safe RLHF", arXiv 2310.12773). A LoRA on the base may belong to a head.
 *
 * A bundle has each in a folder, `scores/reward` and `scores/cost`: the adapter as PEFT saves it,
 * and `head.safetensors` with `weight [d]` and `bias [1]`, always as F32.
 */
import { join } from 'node:path';
import { SCORE_KINDS, type ScoreKind } from '#shared/protocol/score.ts';
import { adapterModules, adapterShapes, type Expert, NO_ADAPTER } from './adapter.ts';
import { AdapterConfig } from './adapter-config.ts';
import { adapterLayout } from './adapter-layout.ts';
import { readJson, scoreFiles } from './bundle-files.ts';
import { checkTensors } from './check-tensors.ts';
import type { DecoderConfig } from './config.ts';
import type { Manifest } from './manifest.ts';
import { readSafetensors } from './read-safetensors.ts';
import type { Tensor } from './tensor.ts';

export type ScoreHead = Pick<Expert, 'rank' | 'alpha' | 'modules'> & {
  /** [d] */
  weight: Float32Array;
  bias: number;
};

export type ScoreHeads = Readonly<Record<ScoreKind, ScoreHead>>;

/** The heads that the manifest names, or null. Throws a BundleError or a CheckpointError. */
export async function readScoreHeads(
  dir: string,
  { scores }: Partial<Pick<Manifest, 'scores'>>,
  config: DecoderConfig,
): Promise<ScoreHeads | null> {
  if (scores === undefined) return null;
  const heads = await Promise.all(
    SCORE_KINDS.map(async (kind) => [kind, await readHead(dir, { kind, ...scores[kind] }, config)] as const),
  );
  // Both kinds are there.
  return Object.fromEntries(heads) as ScoreHeads;
}

async function readHead(
  dir: string,
  { kind, adapter: adapted = true }: { kind: ScoreKind; adapter?: boolean | undefined },
  config: DecoderConfig,
): Promise<ScoreHead> {
  const files = scoreFiles(kind);
  const tensors = await readSafetensors(join(dir, files.head), files.head);
  checkTensors(
    tensors,
    new Map([
      ['weight', [config.hidden_size]],
      ['bias', [1]],
    ]),
    files.head,
  );
  const own = { weight: tensors.get('weight')!.data, bias: tensors.get('bias')!.data[0]! };
  if (!adapted) return { ...own, ...NO_ADAPTER };
  const adapter = await readJson(dir, files.config, AdapterConfig);
  const layout = adapterLayout(adapter, config, files.config);
  const parts = await readSafetensors(join(dir, files.weights), files.weights);
  checkTensors(parts, adapterShapes(config, layout), files.weights);
  return { ...own, rank: adapter.r, alpha: adapter.lora_alpha, modules: adapterModules(parts, layout) };
}

export function headTensors({ weight, bias }: ScoreHead): Map<string, Tensor> {
  return new Map([
    ['weight', { shape: [weight.length], data: weight }],
    ['bias', { shape: [1], data: Float32Array.of(bias) }],
  ]);
}
