/**
 * Makes a bundle with another one's base: config, tokenizer, chat template and weights are copied
 * as they are, whatever their type, and experts and routers are new. So experts are served on
 * exactly the bytes that they were trained on.
 */
import { constants } from 'node:fs';
import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BUNDLE_FILES, fileExists, GENERATION_CONFIG, readJson } from './bundle-files.ts';
import { DecoderConfig } from './config.ts';
import { Manifest } from './manifest.ts';
import {
  type BundleParts,
  inDraft,
  manifestJson,
  writeExperts,
  writeProbe,
  writeRouters,
  writeScoreHeads,
} from './write-bundle.ts';
import type { WeightType } from './write-safetensors.ts';

/** Of the new bundle's manifest; the base's part is the other bundle's. */
type DerivedParts = Pick<BundleParts, 'experts' | 'routers' | 'probe' | 'scores' | 'manifest'> & {
  /** The folder of the bundle whose base is used. */
  from: string;
};

/**
 * Writes the new bundle to `dir`, replacing what was there, and returns its digest. The adapters
 * are written as `dtype`.
 */
export async function deriveBundle(
  dir: string,
  { from, experts, routers, probe, scores: heads, manifest }: DerivedParts,
  { dtype = 'f16' }: { dtype?: WeightType } = {},
): Promise<string> {
  const config = await readJson(from, BUNDLE_FILES.config, DecoderConfig);
  const { base, weights, sampling, provenance } = await readJson(from, BUNDLE_FILES.manifest, Manifest);
  const { config: configFile, tokenizer, tokenizerConfig, chatTemplate } = BUNDLE_FILES;
  const files: string[] = [configFile, tokenizer, tokenizerConfig, chatTemplate];
  if (await fileExists(from, GENERATION_CONFIG)) files.push(GENERATION_CONFIG);
  // A shared base stays in the cache, where the new bundle finds it too.
  if (base === undefined) files.push(BUNDLE_FILES.weights);
  return inDraft(dir, async (draft) => {
    // On file systems that can, the copy shares the disk's blocks with the original.
    for (const file of files) await copyFile(join(from, file), join(draft, file), constants.COPYFILE_FICLONE);
    const probes = probe && (await writeProbe(draft, probe));
    const scores = heads && (await writeScoreHeads(draft, heads, { config, dtype }));
    const whole = {
      ...(sampling && { sampling }),
      ...manifest,
      ...(base && { base }),
      ...(weights && { weights }),
      provenance: { ...(provenance.files && { files: provenance.files }), ...manifest.provenance },
    };
    const parts = { experts, routers, manifest: whole, probes, scores };
    await writeFile(join(draft, BUNDLE_FILES.manifest), manifestJson(parts));
    await writeExperts(draft, experts, { config, dtype });
    await writeRouters(draft, routers);
  });
}
