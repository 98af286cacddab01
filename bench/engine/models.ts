/**
 * The models that the engine is measured with: each as bundles for us and as GGUF files for
 * llama.cpp, with the same weights. They are made when first asked for, in one folder.
 */
import { copyFile, link, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { writeF32Gguf } from '#gpu-backend/gguf/testing/write-f32-gguf.ts';
import { importModel } from '#gpu-backend/import/import-model.ts';
import type { Expert } from '#gpu-backend/model/adapter.ts';
import { BUNDLE_FILES } from '#gpu-backend/model/bundle-files.ts';
import { DOWN_PROJ, linearModules } from '#gpu-backend/model/linear-modules.ts';
import { type BundleHead, loadBundleHead } from '#gpu-backend/model/load-bundle.ts';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import type { ExpertRole } from '#gpu-backend/model/manifest.ts';
import { writeAdapter } from '#gpu-backend/model/write-bundle.ts';
import { createRandom, type Random } from '#training/data/random.ts';
import { smolLm2F32Gguf } from '../../test/smollm2-bundle.ts';
import { type Shape, writeRandomGguf } from './random-gguf.ts';

/** How we keep weights. llama.cpp has f32 and Q4_1 for them; int4 is computed as Q4_1 is. */
export type WeightKind = 'f32' | 'int4';

export type BenchModel = {
  name: string;
  /** The GGUF file of these weights. */
  gguf(kind: WeightKind): Promise<string>;
  /** A bundle in which both experts are the base, which is what llama.cpp computes. */
  plain(kind: WeightKind): Promise<string>;
  /** A bundle with two LoRA experts of rank 16 on every `down_proj`. */
  adapted(kind: WeightKind): Promise<string>;
  head(): Promise<BundleHead>;
};

const RANK = 16;
const ALPHA = 32;
/** Small enough that the experts disagree about as much as trained ones do: some nats an answer. */
const ADAPTER_SIZE = 0.02;

/** SmolLM2-135M-Instruct. `gguf` is its file, in Q4_1. */
export function smolLm2(dir: string, gguf: string): BenchModel {
  return model('SmolLM2-135M', dir, { q4: async () => gguf, f32: smolLm2F32Gguf });
}

/** A model of random weights. `tokenizerOf` is a GGUF file with the tokenizer to take. */
export function randomModel(name: string, dir: string, options: { shape: Shape; tokenizerOf: string }): BenchModel {
  const q4 = async () => {
    const file = path.join(dir, 'random.Q4_1.gguf');
    makeFolder(dir);
    await writeRandomGguf(file, options.shape, options);
    return file;
  };
  const f32 = async (from: string) => {
    const file = path.join(dir, 'random.f32.gguf');
    await writeF32Gguf(from, file);
    return file;
  };
  return model(name, dir, { q4, f32 });
}

function model(
  name: string,
  dir: string,
  files: { q4: () => Promise<string>; f32: (q4: string) => Promise<string> },
): BenchModel {
  const q4 = once(files.q4);
  const f32 = once(async () => files.f32(await q4()));
  const plain = perKind(async (kind) => {
    const out = path.join(dir, `plain-${kind}`);
    // llama.cpp, too, multiplies quantised weights with activations in 8 bits.
    const arithmetic = kind === 'int4' ? 'fast' : undefined;
    const experts = { safety: {}, helpfulness: {} };
    await importModel({ source: await q4(), out, id: `bench-${kind}`, experts, weights: kind, arithmetic });
    return out;
  });
  const adapted = perKind(async (kind) => addAdapters(await plain(kind), path.join(dir, `adapted-${kind}`)));
  return {
    name,
    gguf: (kind) => (kind === 'f32' ? f32() : q4()),
    plain,
    adapted,
    head: once(async () => loadBundleHead(await plain('f32'))),
  };
}

/** The same bundle with two random adapters. The weights' file is shared, not copied. */
async function addAdapters(plain: string, out: string): Promise<string> {
  const { config, manifest } = await loadBundleHead(plain);
  makeFolder(out);
  for (const entry of await readdir(plain, { withFileTypes: true })) {
    const [from, to] = [path.join(plain, entry.name), path.join(out, entry.name)];
    if (entry.name === BUNDLE_FILES.weights) await link(from, to);
    else if (entry.isFile()) await copyFile(from, to);
  }
  const experts = (['safety', 'helpfulness'] as const).map((role) => ({ name: role, role }));
  await writeFile(path.join(out, BUNDLE_FILES.manifest), JSON.stringify({ ...manifest, experts }));
  for (const { role } of experts) await writeAdapter(out, randomExpert(role, config), { config, dtype: 'f32' });
  return out;
}

function randomExpert(role: ExpertRole, config: BundleHead['config']): Expert {
  const random = createRandom(`bench/adapter/${role}`);
  const modules = [...linearModules(config)].flatMap(([module, { kind, inputs, outputs }]) => {
    if (kind !== DOWN_PROJ) return [];
    const a = { shape: [RANK, inputs], data: uniform(random, RANK * inputs, inputs ** -0.5) };
    const b = { shape: [outputs, RANK], data: uniform(random, outputs * RANK, ADAPTER_SIZE * RANK ** -0.5) };
    return [[module, { a, b, scale: ALPHA / RANK }] as const];
  });
  return { name: role, role, rank: RANK, alpha: ALPHA, modules: new Map(modules) };
}

function uniform(random: Random, count: number, deviation: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: count }, () => deviation * Math.sqrt(12) * (random.next() - 0.5));
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
}

function perKind<T>(make: (kind: WeightKind) => Promise<T>): (kind: WeightKind) => Promise<T> {
  const made = new Map<WeightKind, Promise<T>>();
  return (kind) => {
    const known = made.get(kind) ?? make(kind);
    made.set(kind, known);
    return known;
  };
}
