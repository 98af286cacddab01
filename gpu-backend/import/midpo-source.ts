/** Checkpoints with experts and a router of their own, and routers alone: see read-midpo.ts. */
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import type { DecoderConfig } from '#gpu-backend/model/config.ts';
import type { ExpertRole, Manifest } from '#gpu-backend/model/manifest.ts';
import { openSafetensors } from '#gpu-backend/model/open-safetensors.ts';
import { noSuchTensor, type TensorSource } from '#gpu-backend/model/tensor-source.ts';
import { writeAdapter, writeRouters } from '#gpu-backend/model/write-bundle.ts';
import type { ExpertSource } from './expert-source.ts';
import { openModelSource } from './open-model-source.ts';
import { isMidpoTensor, readMidpo, readMidpoRouter } from './read-midpo.ts';

/** What plimsoll.json says about a router of MidPO's own code. */
export const MIDPO_ROUTER: Manifest['router'] = { layers: { variant: 'faithful' } };

export const holdsExperts = (tensors: TensorSource) => tensors.names().some(isMidpoTensor);

/** Whether a source that can be opened is a model with two experts and a router of its own. */
export async function hasOwnExperts(source: string): Promise<boolean> {
  // Only folders can be. An import says what is wrong with a source that cannot be opened.
  const isFolder = await stat(source)
    .then((found) => found.isDirectory())
    .catch(() => false);
  const model = isFolder ? await openModelSource(source).catch(() => null) : null;
  if (model === null) return false;
  const found = holdsExperts(model.tensors);
  await model.tensors.close();
  return found;
}

/** The base alone. */
export function withoutExperts(source: TensorSource): TensorSource {
  const names = new Set(source.names().filter((name) => !isMidpoTensor(name)));
  const own = (name: string) => {
    if (names.has(name)) return name;
    throw noSuchTensor(source, name);
  };
  return {
    file: source.file,
    names: () => [...names],
    info: (name) => source.info(own(name)),
    read: async (name, pool) => source.read(own(name), pool),
    readBytes: async (name, pool) => source.readBytes(own(name), pool),
    close: () => source.close(),
  };
}

/** Writes both experts, named by their roles, and the router to their places in a bundle. */
export async function writeOwnExperts(folder: string, source: TensorSource, config: DecoderConfig): Promise<void> {
  const { experts, router } = await readMidpo(source, config);
  for (const expert of experts) await writeAdapter(folder, expert, { config, dtype: 'f32' });
  await writeRouters(folder, { layers: router, logits: null });
}

/** As `expertEntry` takes them: both are adapters. */
export const ownExperts = (source: string): Record<ExpertRole, ExpertSource> => ({
  safety: { adapter: source },
  helpfulness: { adapter: source },
});

/** Whether `--router` names the tensors of router.pth, and not a folder. */
export const isRouterFile = (path: string) => path.endsWith('.safetensors');

export async function writeRouterFile(folder: string, path: string, config: DecoderConfig): Promise<void> {
  const source = await openSafetensors(path, basename(path));
  try {
    await writeRouters(folder, { layers: await readMidpoRouter(source, config), logits: null });
  } finally {
    await source.close();
  }
}
