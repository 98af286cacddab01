/** The experts, routers and probe of an import that come together, in a folder of experts. */
import { copyFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expertFiles, probeFiles, readText } from '#gpu-backend/model/bundle-files.ts';
import type { ExpertsFolder } from '#gpu-backend/model/experts-folder.ts';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import type { ExpertRole, Manifest } from '#gpu-backend/model/manifest.ts';
import type { ExpertSource } from './expert-source.ts';

/** Copies the probe of the second look, if there is one, to its place in a bundle. */
export async function copyProbeOf({ dir, manifest }: ExpertsFolder, folder: string): Promise<void> {
  for (const file of probeFiles(manifest)) {
    makeFolder(join(folder, dirname(file)));
    await copyFile(join(dir, file), join(folder, file));
  }
}

/** Where each expert's files are. In the bundle, experts are named by their roles. */
export async function expertsOfFolder({ dir, manifest }: ExpertsFolder): Promise<Record<ExpertRole, ExpertSource>> {
  const sourceOf = async (role: ExpertRole): Promise<ExpertSource> => {
    // The manifest's schema says that there is one of each role.
    const { name, adapter = true, prompt = false } = manifest.experts.find((expert) => expert.role === role)!;
    return {
      ...(adapter && { adapter: join(dir, 'experts', name) }),
      ...(prompt && { prompt: await readText(dir, expertFiles(name).prompt) }),
    };
  };
  return { safety: await sourceOf('safety'), helpfulness: await sourceOf('helpfulness') };
}

/**
 * The manifest of a bundle whose experts come from a folder: it names the licences and the origins
 * of both.
 */
export function withExpertsFolder(base: Manifest, { manifest, digest }: ExpertsFolder): Manifest {
  const { default_weight, sampling, licence, probes } = manifest;
  const { description, data } = manifest.provenance;
  return {
    ...base,
    default_weight,
    ...(sampling && { sampling }),
    ...(probes && { probes }),
    licence: licence === base.licence ? licence : `${base.licence} AND ${licence}`,
    provenance: {
      ...base.provenance,
      data: distinct([...base.provenance.data, ...data]),
      experts: { digest, base: manifest.base.sha256, licence, description },
    },
  };
}

/** Experts may name the data of their base, too. */
function distinct<T>(values: readonly T[]): T[] {
  return [...new Map(values.map((value) => [JSON.stringify(value), value])).values()];
}
