/** Writes experts, routers and a probe without their base: see experts-folder.ts. */
import { createHash } from 'node:crypto';
import { copyFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expertFilesIn, probeFiles } from './bundle-files.ts';
import type { DecoderConfig } from './config.ts';
import { readPrompts } from './expert-prompt.ts';
import { EXPERTS_FORMAT, EXPERTS_MANIFEST, ExpertsManifest, openExpertsFolder } from './experts-folder.ts';
import { loadAdditions, loadBundleHead } from './load-bundle.ts';
import { makeFolder } from './make-folder.ts';
import { routerFiles, routerManifest } from './router.ts';
import { verifyBundle } from './verify-bundle.ts';
import { type BundleParts, expertEntryOf, inDraft, writeExperts, writeProbe, writeRouters } from './write-bundle.ts';
import type { WeightType } from './write-safetensors.ts';

type ExpertsParts = Pick<BundleParts, 'experts' | 'routers' | 'probe'> & {
  /** Of the base. */
  config: DecoderConfig;
  manifest: Omit<ExpertsManifest, 'format' | 'experts' | 'router' | 'probes'>;
};

/**
 * Writes the folder, replacing what was there, and returns its digest. Throws if the experts would
 * not load on a base of this config. Then what was there stays.
 */
export async function writeExpertsFolder(
  dir: string,
  { experts, routers, probe, config, manifest }: ExpertsParts,
  { dtype = 'f16' }: { dtype?: WeightType } = {},
): Promise<string> {
  const write = async (draft: string) => {
    const whole: ExpertsManifest = {
      format: EXPERTS_FORMAT,
      ...manifest,
      experts: experts.map(expertEntryOf),
      router: routerManifest(routers),
      ...(probe && { probes: await writeProbe(draft, probe) }),
    };
    await writeManifest(draft, whole);
    await writeExperts(draft, experts, { config, dtype });
    await writeRouters(draft, routers);
  };
  return inDraft(dir, write, (draft) => digestOn(config, draft));
}

/**
 * Writes the folder of what a bundle adds to its base, byte by byte, replacing what was there.
 * Returns its digest. Throws a BundleError if the bundle is not as it should be.
 */
export async function copyExpertsFolder(bundle: string, dir: string): Promise<string> {
  const head = await loadBundleHead(bundle);
  const { config, manifest } = head;
  const hash = createHash('sha256');
  await verifyBundle(bundle, head, { onWeights: (bytes) => hash.update(bytes) });
  const { experts, router, probes, default_weight, sampling, licence, provenance } = manifest;
  const { description, data, files = [] } = provenance;
  const whole: ExpertsManifest = {
    format: EXPERTS_FORMAT,
    base: { sha256: hash.digest('hex'), files },
    experts,
    router,
    ...(probes && { probes }),
    default_weight,
    ...(sampling && { sampling }),
    licence,
    provenance: { description, data },
  };
  const write = async (draft: string) => {
    await writeManifest(draft, whole);
    for (const file of [...expertFilesIn(manifest), ...routerFiles(manifest), ...probeFiles(manifest)]) {
      makeFolder(join(draft, dirname(file)));
      await copyFile(join(bundle, file), join(draft, file));
    }
  };
  return inDraft(dir, write, (draft) => digestOn(config, draft));
}

/** In the schema's order of keys, so that the same content has one digest. */
const writeManifest = (dir: string, manifest: ExpertsManifest) =>
  writeFile(join(dir, EXPERTS_MANIFEST), `${JSON.stringify(ExpertsManifest.parse(manifest), null, 2)}\n`);

/** The folder's digest. Throws if what is in it would not load on a base of this config. */
async function digestOn(config: DecoderConfig, dir: string): Promise<string> {
  const { manifest, digest } = await openExpertsFolder(dir);
  await loadAdditions(dir, { config, manifest, prompts: await readPrompts(dir, manifest) });
  return digest;
}
