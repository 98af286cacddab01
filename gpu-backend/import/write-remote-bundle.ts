/**
 * Makes a bundle whose experts run on engines of other people: the model's texts and a manifest,
 * and no weights. So the folder is small, and whoever has the weights in a GPU fleet need not have
 * them here.
 */
import { basename } from 'node:path';
import { bundleDigest } from '#gpu-backend/model/bundle-files.ts';
import { loadBundleHead } from '#gpu-backend/model/load-bundle.ts';
import { BUNDLE_FORMAT, ExpertRole, type Manifest } from '#gpu-backend/model/manifest.ts';
import { DraftFolder } from './draft-folder.ts';
import { copyExpert } from './expert-source.ts';
import { spdxOf } from './licence.ts';
import { readHuggingFaceTexts } from './open-hugging-face-folder.ts';
import { writeManifest, writeTexts } from './write-texts.ts';

/** What an expert is on its engine. */
export type RemoteExpert = {
  /** A LoRA adapter on the base; false: the base itself. */
  adapter: boolean;
  /** A system prompt of the expert's own, which the backend puts before its row. */
  prompt?: string | undefined;
};

export type RemoteBundleOptions = {
  /** A folder with config.json, tokenizer.json and tokenizer_config.json. */
  source: string;
  /** The bundle's folder. It must not exist, unless `force` is set. */
  out: string;
  /** The model id that clients use. */
  id: string;
  /** k: how many of the likeliest tokens an engine tells. */
  topK: number;
  experts: Record<ExpertRole, RemoteExpert>;
  /** Jinja, instead of the source's own template. */
  chatTemplate?: string | undefined;
  /** SPDX. By default what the source says. */
  licence?: string | undefined;
  force?: boolean;
};

/** Returns the new bundle's digest. Throws a BundleError if a file is not as it should be. */
export async function writeRemoteBundle({
  source,
  out,
  id,
  topK,
  experts,
  chatTemplate,
  licence,
  force = false,
}: RemoteBundleOptions): Promise<{ digest: string }> {
  const texts = await readHuggingFaceTexts(source, { chatTemplate });
  const draft = await DraftFolder.open(out, { force });
  try {
    const folder = draft.path;
    for (const role of ExpertRole.options) {
      const { prompt } = experts[role];
      await copyExpert(role, prompt === undefined ? {} : { prompt }, folder);
    }
    await writeTexts(folder, texts);
    const from = basename(source);
    const manifest: Manifest = {
      format: BUNDLE_FORMAT,
      id,
      experts: ExpertRole.options.map((role) => ({
        name: role,
        role,
        adapter: experts[role].adapter,
        ...(experts[role].prompt !== undefined && { prompt: true }),
      })),
      router: null,
      default_weight: 0.5,
      remote: { top_k: topK },
      licence: licence ?? spdxOf(texts.licence),
      provenance: {
        description: `Texts of ${from}. The weights are on engines elsewhere.`,
        data: [{ name: from, licence: spdxOf(texts.licence), source: 'plimsoll model remote' }],
      },
    };
    await writeManifest(folder, manifest);
    await loadBundleHead(folder);
    const digest = await bundleDigest(folder, manifest);
    await draft.finish();
    return { digest };
  } catch (error) {
    draft.leave({ keep: false });
    throw error;
  }
}
