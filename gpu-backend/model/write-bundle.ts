/**
 * Writes a bundle. It writes into a temporary folder, loads the bundle back from there as a server
 * would, and only then renames the folder into place. So a folder with a bundle's name never holds
 * half a bundle, or one that cannot be served.
 */
import { chmod, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { SCORE_KINDS } from '#shared/protocol/score.ts';
import { adapterConfigJson, adapterTensors, type Expert, hasAdapter } from './adapter.ts';
import { BUNDLE_FILES, expertFiles, PROBE_FILES, scoreFiles } from './bundle-files.ts';
import type { DecoderConfig } from './config.ts';
import { cleanPrompt } from './expert-prompt.ts';
import { familyOf } from './families.ts';
import { openBundle } from './load-bundle.ts';
import { makeFolder } from './make-folder.ts';
import { BUNDLE_FORMAT, type Manifest } from './manifest.ts';
import { type ProbeHead, type ProbeNumbers, probeTensors, probeVersion } from './probe.ts';
import { layersRouterTensors, logitsRouterTensors, ROUTER_FILES, type Routers, routerManifest } from './router.ts';
import { headTensors, type ScoreHeads } from './score-heads.ts';
import type { Tensor } from './tensor.ts';
import { type WeightType, writeSafetensors } from './write-safetensors.ts';

export type BundleParts = {
  config: DecoderConfig;
  /** The content of tokenizer.json and tokenizer_config.json. */
  tokenizer: object;
  tokenizerConfig: object;
  /** Jinja. */
  chatTemplate: string;
  weights: Map<string, Tensor>;
  experts: Expert[];
  /** `NO_ROUTERS` if none has been trained. */
  routers: Routers;
  /** The probe of the second look, if one has been trained. */
  probe?: { head: ProbeHead } & ProbeNumbers;
  /** The reward and the cost head, if they have been trained. */
  scores?: ScoreHeads;
  manifest: Omit<Manifest, 'format' | 'experts' | 'router' | 'probes' | 'scores'>;
  /** More files to write, by name: a model card, a licence. */
  extraFiles?: Record<string, string>;
};

const toJson = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;

/** Writes the parts to `dir`, replacing what was there, and returns the new bundle's digest. */
export async function writeBundle(
  dir: string,
  parts: BundleParts,
  { dtype = 'f16' }: { dtype?: WeightType } = {},
): Promise<string> {
  return inDraft(dir, (draft) => writeFiles(draft, parts, dtype));
}

const digestOfBundle = async (dir: string) => (await openBundle(dir)).digest;

/**
 * Calls `write` with a temporary folder, checks that it then holds a bundle, and renames it to
 * `dir`. Returns the bundle's digest.
 *
 * @param check for a folder that is no bundle: throws if it is not as it should be, or returns its
 *   digest
 */
export async function inDraft(
  dir: string,
  write: (draft: string) => Promise<void>,
  check: (draft: string) => Promise<string> = digestOfBundle,
): Promise<string> {
  const target = resolve(dir);
  makeFolder(dirname(target));
  // Next to the target, so that the rename stays on one file system.
  const draft = await mkdtemp(join(dirname(target), `.${basename(target)}-`));
  try {
    await write(draft);
    const digest = await check(draft);
    // mkdtemp makes a folder that only its owner may read, but whoever serves the bundle must read
    // it.
    await chmod(draft, 0o755);
    await replaceFolder(target, draft);
    return digest;
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

async function writeFiles(dir: string, parts: BundleParts, dtype: WeightType): Promise<void> {
  const { experts, routers, probe } = parts;
  const probes = probe && (await writeProbe(dir, probe));
  const { architecture } = familyOf(parts.config);
  await writeFile(join(dir, BUNDLE_FILES.config), toJson({ architectures: [architecture], ...parts.config }));
  await writeFile(join(dir, BUNDLE_FILES.tokenizer), toJson(parts.tokenizer));
  await writeFile(join(dir, BUNDLE_FILES.tokenizerConfig), toJson(parts.tokenizerConfig));
  await writeFile(join(dir, BUNDLE_FILES.chatTemplate), parts.chatTemplate);
  const scores = parts.scores && (await writeScoreHeads(dir, parts.scores, { config: parts.config, dtype }));
  await writeFile(join(dir, BUNDLE_FILES.manifest), manifestJson({ ...parts, probes, scores }));
  await writeSafetensors(join(dir, BUNDLE_FILES.weights), parts.weights, { dtype, file: BUNDLE_FILES.weights });
  await writeExperts(dir, experts, { config: parts.config, dtype });
  await writeRouters(dir, routers);
  for (const [name, text] of Object.entries(parts.extraFiles ?? {})) await writeFile(join(dir, name), text);
}

/** The content of plimsoll.json. */
export function manifestJson({
  experts,
  routers,
  manifest,
  probes,
  scores,
}: Pick<BundleParts, 'experts' | 'routers' | 'manifest'> & {
  probes?: Manifest['probes'] | undefined;
  scores?: Manifest['scores'] | undefined;
}): string {
  const whole: Manifest = {
    format: BUNDLE_FORMAT,
    ...manifest,
    experts: experts.map(expertEntryOf),
    router: routerManifest(routers),
    ...(probes && { probes }),
    ...(scores && { scores }),
  };
  return toJson(whole);
}

/** Writes what the experts have, adapters and prompts, to their folders in a bundle. */
export async function writeExperts(
  dir: string,
  experts: readonly Expert[],
  { config, dtype }: { config: DecoderConfig; dtype: WeightType },
): Promise<void> {
  for (const expert of experts) {
    const files = expertFiles(expert.name);
    makeFolder(join(dir, dirname(files.config)));
    if (expert.prompt !== undefined) {
      await writeFile(join(dir, files.prompt), cleanPrompt(expert.prompt, files.prompt));
    }
    if (hasAdapter(expert)) await writeAdapter(dir, expert, { config, dtype });
  }
}

/** Writes an expert's adapter as PEFT saves it, to the expert's folder in a bundle. */
export async function writeAdapter(
  dir: string,
  expert: Expert,
  { config, dtype }: { config: DecoderConfig; dtype: WeightType },
): Promise<void> {
  await writeAdapterTo(dir, expert, { files: expertFiles(expert.name), config, dtype });
}

async function writeAdapterTo(
  dir: string,
  adapter: Pick<Expert, 'rank' | 'alpha' | 'modules' | 'trainedOn'>,
  { files, config, dtype }: { files: { config: string; weights: string }; config: DecoderConfig; dtype: WeightType },
): Promise<void> {
  makeFolder(join(dir, dirname(files.config)));
  await writeFile(join(dir, files.config), toJson(adapterConfigJson(adapter, config)));
  await writeSafetensors(join(dir, files.weights), adapterTensors(adapter), { dtype, file: files.weights });
}

/** Writes the heads to their places in a bundle, and returns what `plimsoll.json` says of them. */
export async function writeScoreHeads(
  dir: string,
  heads: ScoreHeads,
  { config, dtype }: { config: DecoderConfig; dtype: WeightType },
): Promise<NonNullable<Manifest['scores']>> {
  for (const kind of SCORE_KINDS) {
    const files = scoreFiles(kind);
    const head = heads[kind];
    makeFolder(join(dir, dirname(files.head)));
    await writeSafetensors(join(dir, files.head), headTensors(head), { dtype: 'f32', file: files.head });
    if (hasAdapter(head)) await writeAdapterTo(dir, head, { files, config, dtype });
  }
  const entryOf = (head: ScoreHeads['reward']) => (hasAdapter(head) ? {} : { adapter: false });
  return { reward: entryOf(heads.reward), cost: entryOf(heads.cost) };
}

/** Writes the probe to its place in a bundle, and returns what `plimsoll.json` says of it. */
export async function writeProbe(
  dir: string,
  probe: NonNullable<BundleParts['probe']>,
): Promise<NonNullable<Manifest['probes']>> {
  makeFolder(join(dir, dirname(PROBE_FILES.head)));
  await writeFile(join(dir, PROBE_FILES.head), toJson(probe.head));
  const file = PROBE_FILES.weights;
  await writeSafetensors(join(dir, file), probeTensors(probe), { dtype: 'f32', file });
  return { second_look: { version: await probeVersion(dir) } };
}

/** Writes the routers that there are to their places in a bundle. */
export async function writeRouters(dir: string, { layers, logits }: Routers): Promise<void> {
  const write = async (file: string, tensors: Map<string, Tensor>) => {
    makeFolder(join(dir, dirname(file)));
    await writeSafetensors(join(dir, file), tensors, { dtype: 'f32', file });
  };
  if (layers !== null) await write(ROUTER_FILES.layers, layersRouterTensors(layers));
  if (logits !== null) await write(ROUTER_FILES.logits, logitsRouterTensors(logits));
}

/** An expert's entry in a manifest. What readers take for granted is left out. */
export function expertEntryOf(expert: Expert): Manifest['experts'][number] {
  const { name, role, prompt } = expert;
  return {
    name,
    role,
    ...(!hasAdapter(expert) && { adapter: false }),
    ...(prompt !== undefined && { prompt: true }),
  };
}

/**
 * The system refuses to rename over a folder that is not empty, so the old one moves aside first.
 */
async function replaceFolder(target: string, draft: string): Promise<void> {
  const aside = `${draft}.old`;
  const existed = await rename(target, aside).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
  await rename(draft, target);
  if (existed) await rm(aside, { recursive: true, force: true });
}
