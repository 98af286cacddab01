/** Learned routers for a bundle, copied from another bundle or from a folder with their files. */
import { copyFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { BundleError } from '#gpu-backend/model/bundle-error.ts';
import { BUNDLE_FILES, readJson } from '#gpu-backend/model/bundle-files.ts';
import { CheckpointError } from '#gpu-backend/model/checkpoint-error.ts';
import type { ExpertsFolder } from '#gpu-backend/model/experts-folder.ts';
import { foundInstead } from '#gpu-backend/model/found-instead.ts';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import { Manifest } from '#gpu-backend/model/manifest.ts';
import { openSafetensors } from '#gpu-backend/model/open-safetensors.ts';
import { ROUTER_FILES } from '#gpu-backend/model/router.ts';
import { exists } from './read-text.ts';

type RouterEntry = NonNullable<Manifest['router']>;

/**
 * Copies `layers.safetensors` and `logits.safetensors`, as far as they are there, and returns what
 * plimsoll.json says about them. A router for layers that comes without a bundle counts as trained
 * by the paper's own code; both kinds are served alike.
 */
export async function copyRouters(source: string, folder: string): Promise<RouterEntry> {
  const isBundle = await exists(join(source, BUNDLE_FILES.manifest));
  const said = isBundle ? (await readJson(source, BUNDLE_FILES.manifest, Manifest)).router : null;
  const place = (file: string) => join(source, isBundle ? file : basename(file));
  const entry: RouterEntry = {};
  const wants = async (kind: keyof typeof ROUTER_FILES) =>
    isBundle ? said?.[kind] !== undefined : exists(place(ROUTER_FILES[kind]));
  if (await wants('layers')) entry.layers = said?.layers ?? { variant: 'faithful' };
  if (await wants('logits')) entry.logits = said?.logits ?? { width: await widthOf(place(ROUTER_FILES.logits)) };
  const kinds = (['layers', 'logits'] as const).filter((kind) => entry[kind] !== undefined);
  if (kinds.length === 0) {
    const files = Object.values(ROUTER_FILES).map((file) => basename(file));
    throw new BundleError(source, `found no router, wanted a bundle with one, or ${files.join(' or ')}`);
  }
  await copyRouterFiles(kinds, place, folder);
  return entry;
}

/** The routers of a folder of experts, which has them where a bundle has them. */
export async function copyRoutersOf({ dir, manifest }: ExpertsFolder, folder: string): Promise<Manifest['router']> {
  const kinds = (['layers', 'logits'] as const).filter((kind) => manifest.router?.[kind] !== undefined);
  await copyRouterFiles(kinds, (file) => join(dir, file), folder);
  return manifest.router;
}

async function copyRouterFiles(
  kinds: readonly (keyof typeof ROUTER_FILES)[],
  place: (file: string) => string,
  folder: string,
): Promise<void> {
  for (const kind of kinds) {
    const file = ROUTER_FILES[kind];
    makeFolder(join(folder, dirname(file)));
    await copyFile(place(file), join(folder, file)).catch((cause: unknown) => {
      throw new CheckpointError(place(file), { found: foundInstead(cause), wanted: 'a router' }, { cause });
    });
  }
}

async function widthOf(path: string): Promise<number> {
  const tensors = await openSafetensors(path);
  try {
    const [width] = tensors.info('hidden.weight').shape;
    if (width !== undefined && width > 0) return width;
    const fault = { key: 'tensor hidden.weight', found: 'a tensor without rows', wanted: '[m, 2d]' };
    throw new CheckpointError(path, fault);
  } finally {
    await tensors.close();
  }
}
