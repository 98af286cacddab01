/** Writes experts, routers and a probe without their base: see experts-folder.ts. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DecoderConfig } from './config.ts';
import { readPrompts } from './expert-prompt.ts';
import { EXPERTS_FORMAT, EXPERTS_MANIFEST, type ExpertsManifest, openExpertsFolder } from './experts-folder.ts';
import { loadAdditions } from './load-bundle.ts';
import { routerManifest } from './router.ts';
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
    await writeFile(join(draft, EXPERTS_MANIFEST), `${JSON.stringify(whole, null, 2)}\n`);
    await writeExperts(draft, experts, { config, dtype });
    await writeRouters(draft, routers);
  };
  const check = async (draft: string) => {
    const { manifest, digest } = await openExpertsFolder(draft);
    await loadAdditions(draft, { config, manifest, prompts: await readPrompts(draft, manifest) });
    return digest;
  };
  return inDraft(dir, write, check);
}
