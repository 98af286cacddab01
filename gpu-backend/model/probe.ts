/**
 * The probe of the second look: a linear head on the safety row's hidden states that says how
 * likely it is that a text asks for harm, and for which.
 *
 *     p = sigmoid(a * (weight . features + bias) + b)        for each judgement
 *
 * `features` are pooled hidden states: for each of `layers`, for each of `pooling`, d numbers. The
 * states are those that a layer leaves, before any norm. Whatever standardised the features in
 * training is folded into `weight` and `bias`; `a` and `b` calibrate the result (Platt scaling).
 *
 * A bundle has it in two files: `probes/second-look.json`, all but the numbers, and
 * `probes/second-look.safetensors`, which holds `weight [judgements, layers * pooling * d]` and
 * `bias [judgements]`, always as F32.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { JUDGEMENTS } from '#shared/line/categories.ts';
import { BundleError } from './bundle-error.ts';
import { BUNDLE_FILES, PROBE_FILES, readJson, readText } from './bundle-files.ts';
import { checkTensors } from './check-tensors.ts';
import type { DecoderConfig } from './config.ts';
import type { Manifest } from './manifest.ts';
import { readSafetensors } from './read-safetensors.ts';
import type { Tensor } from './tensor.ts';

/** `mean`: over a window's tokens. `last`: of the token by which the window has been read. */
const POOLINGS = ['mean', 'last'] as const;

const distinct = (values: readonly unknown[]) => new Set(values).size === values.length;

const Calibration = z.strictObject({ a: z.number(), b: z.number() });

export const ProbeHead = z.strictObject({
  format: z.literal(1),
  /** Counted from 0. The states after that layer. */
  layers: z.array(z.int().min(0)).min(1).refine(distinct, 'names a layer twice'),
  pooling: z.array(z.enum(POOLINGS)).min(1).refine(distinct, 'names a pooling twice'),
  /** All of them, in this order: what is missing would count as certain. */
  judgements: z.tuple(
    // The cast: `map` forgets that the list is not empty.
    JUDGEMENTS.map((judgement) => z.literal(judgement)) as [z.ZodLiteral, ...z.ZodLiteral[]],
  ),
  /** The most tokens of a message that are looked at as one. */
  window: z.int().min(1),
  /** Keyed by judgement. */
  calibration: z.strictObject(Object.fromEntries(JUDGEMENTS.map((judgement) => [judgement, Calibration]))),
  /** SPDX identifier of the probe's licence. */
  licence: z.string().min(1),
  provenance: z.strictObject({
    description: z.string().min(1),
    data: z.array(
      z.strictObject({ name: z.string().min(1), licence: z.string().min(1), source: z.string().optional() }),
    ),
  }),
});
export type ProbeHead = z.infer<typeof ProbeHead>;

export type ProbeNumbers = {
  /** Row-major [judgements, features]. */
  weight: Float32Array;
  /** [judgements] */
  bias: Float32Array;
};

export type Probe = { /** See `probeVersion`. */ version: string; head: ProbeHead } & ProbeNumbers;

function probeShapes({ layers, pooling }: ProbeHead, { hidden_size: d }: DecoderConfig): Map<string, number[]> {
  return new Map([
    ['weight', [JUDGEMENTS.length, layers.length * pooling.length * d]],
    ['bias', [JUDGEMENTS.length]],
  ]);
}

export function probeTensors({ weight, bias }: ProbeNumbers): Map<string, Tensor> {
  return new Map([
    ['weight', { shape: [bias.length, weight.length / bias.length], data: weight }],
    ['bias', { shape: [bias.length], data: bias }],
  ]);
}

/** The first 12 hex digits of the SHA-256 over the bytes of both files, the JSON's first. */
export async function probeVersion(dir: string): Promise<string> {
  const hash = createHash('sha256');
  hash.update(await readText(dir, PROBE_FILES.head));
  hash.update(await readFile(join(dir, PROBE_FILES.weights)));
  return hash.digest('hex').slice(0, 12);
}

/** The probe that the manifest names, or null. Throws a BundleError or a CheckpointError. */
export async function readProbe(
  dir: string,
  { probes }: Pick<Manifest, 'probes'>,
  config: DecoderConfig,
): Promise<Probe | null> {
  if (probes === undefined) return null;
  const { version } = probes.second_look;
  const head = await readJson(dir, PROBE_FILES.head, ProbeHead);
  const beyond = head.layers.findIndex((layer) => layer >= config.num_hidden_layers);
  if (beyond >= 0) {
    const wanted = `wanted less than the model's ${config.num_hidden_layers} layers`;
    throw new BundleError(PROBE_FILES.head, `layers.${beyond}: found ${head.layers[beyond]}, ${wanted}`);
  }
  const tensors = await readSafetensors(join(dir, PROBE_FILES.weights), PROBE_FILES.weights);
  checkTensors(tensors, probeShapes(head, config), PROBE_FILES.weights);
  const found = await probeVersion(dir);
  if (found !== version) {
    const key = 'probes.second_look.version';
    const problem = `${key}: found ${version}, wanted ${found}, by which the SHA-256 of the probe's files begins`;
    throw new BundleError(BUNDLE_FILES.manifest, problem);
  }
  return { version, head, weight: tensors.get('weight')!.data, bias: tensors.get('bias')!.data };
}

/**
 * The probability of each judgement, in the order of JUDGEMENTS. NaN where the sum is not finite: a
 * broken state must not count as harmless.
 *
 * @param features [layers * pooling * d]
 */
export function askProbe({ head, weight, bias }: Probe, features: Float32Array): number[] {
  const sums = Float64Array.from(bias);
  // Each feature is read once for all rows.
  for (let i = 0; i < features.length; i++) {
    const x = features[i]!;
    for (let row = 0, at = i; row < sums.length; row++, at += features.length) sums[row]! += weight[at]! * x;
  }
  return JUDGEMENTS.map((judgement, row) => {
    const z = sums[row]!;
    const { a, b } = head.calibration[judgement]!;
    return Number.isFinite(z) ? 1 / (1 + Math.exp(-(a * z + b))) : Number.NaN;
  });
}
