/**
 * Loads a bundle from its folder and checks it as a whole. Anything wrong stops the load with a
 * `BundleError` that names the file, the tensor or field, what was found and what was wanted.
 * `docs/bundle.md` describes the format.
 */
import { join } from 'node:path';
import { type Sampling, withPlain } from '#shared/api/sampling.ts';
import type { ToolSyntax } from '#shared/tools/tool-syntax.ts';
import { adapterModules, adapterShapes, type Expert, NO_ADAPTER, OWN_BASE } from './adapter.ts';
import { AdapterConfig } from './adapter-config.ts';
import { adapterLayout } from './adapter-layout.ts';
import { BundleError } from './bundle-error.ts';
import {
  BUNDLE_FILES,
  bundleDigest,
  expertFiles,
  GENERATION_CONFIG,
  readJson,
  readText,
  refuseUnusedFiles,
} from './bundle-files.ts';
import { compileChat, type ReadChat, type RenderChat } from './chat-template.ts';
import { checkTensors } from './check-tensors.ts';
import { DecoderConfig, eosIds, weightShapes } from './config.ts';
import { checkPrompts, type ExpertPrompts, readPrompts } from './expert-prompt.ts';
import { FiniteCheck } from './finite-check.ts';
import { readGenerationConfig, samplingIn } from './generation-config.ts';
import { DOWN_PROJ } from './linear-modules.ts';
import { Manifest } from './manifest.ts';
import { type Probe, readProbe } from './probe.ts';
import { readSafetensors } from './read-safetensors.ts';
import { readWeights } from './read-weights.ts';
import {
  layersRouterOf,
  layersRouterShapes,
  logitsRouterOf,
  logitsRouterShapes,
  ROUTER_FILES,
  type Routers,
} from './router.ts';
import { readScoreHeads } from './score-heads.ts';
import { blamingDamage, findWeights } from './shared-base.ts';
import { openStoredBase, type StoredBase } from './stored-base.ts';
import type { Tensor } from './tensor.ts';
import { BundleTokenizer, TokenizerJson } from './tokenizer.ts';
import { TokenizerConfig } from './tokenizer-config.ts';

/** Everything but the weights: enough to turn messages into tokens and tokens into text. */
export type BundleHead = {
  /** The model id that clients use. */
  id: string;
  config: DecoderConfig;
  manifest: Manifest;
  tokenizer: BundleTokenizer;
  /** The token that the template writes after a message. */
  eosId: number;
  renderChat: RenderChat;
  readChat: ReadChat;
  /** In which the model writes calls of tools. */
  toolSyntax: ToolSyntax;
  /** The system prompts that experts have of their own, by role. */
  prompts: ExpertPrompts;
  /** How answers are drawn where a client names nothing. */
  sampling: Sampling;
};

export type Bundle = BundleHead & {
  /** By Hugging Face's names; shapes as in `weightShapes(config)`. */
  weights: Map<string, Tensor>;
  /** In the order of plimsoll.json. */
  experts: Expert[];
  routers: Routers;
  /** Reads the prompt before the first token; null if the bundle has none. */
  probe: Probe | null;
  /** SHA-256 over the files, in lower-case hex. */
  digest: string;
};

/** A bundle whose base stays in its file. */
export type ServedBundle = Omit<Bundle, 'weights'> & { base: StoredBase };

const NO_WEIGHTS =
  'remote: the experts of this bundle run on engines elsewhere, so there are no weights here; a backend serves it ' +
  'with PLIMSOLL_ENGINES';

/** Real templates have some kilobytes. */
const MOST_TEMPLATE_BYTES = 2 ** 20;

export async function loadBundleHead(dir: string): Promise<BundleHead> {
  const ownConfig = await readJson(dir, BUNDLE_FILES.config, DecoderConfig);
  const manifest = await readJson(dir, BUNDLE_FILES.manifest, Manifest);
  const tokenizerJson = await readJson(dir, BUNDLE_FILES.tokenizer, TokenizerJson);
  const tokenizerConfig = await readJson(dir, BUNDLE_FILES.tokenizerConfig, TokenizerConfig);
  const chatTemplate = await readText(dir, BUNDLE_FILES.chatTemplate, { most: MOST_TEMPLATE_BYTES });
  const tokenizer = new BundleTokenizer(tokenizerJson, tokenizerConfig, chatTemplate);
  if (tokenizer.vocabSize > ownConfig.vocab_size) {
    throw new BundleError(
      BUNDLE_FILES.tokenizer,
      `found ${tokenizer.vocabSize} tokens, wanted at most the model's ${ownConfig.vocab_size}`,
    );
  }

  const generation = await readGenerationConfig(dir);
  const config = withAllEos(ownConfig, tokenizer, generation?.eos_token_id ?? null);
  const eosToken = eosTokenOf(config, tokenizer, tokenizerConfig.eos_token ?? null);
  const { renderChat, readChat, toolFormat } = compileChat(chatTemplate, {
    tokenizer,
    bosToken: tokenizerConfig.bos_token ?? null,
    eosToken,
  });
  await refuseUnusedFiles(dir, manifest);
  const prompts = await readPrompts(dir, manifest);
  checkPrompts(prompts, { manifest, renderChat, contextLength: config.max_position_embeddings });
  const sampling = withPlain(manifest.sampling ?? (generation ? samplingIn(generation) : {}));
  // One of the config's, which are all special.
  const eosId = tokenizer.specials.get(eosToken)!;
  const { syntax: toolSyntax } = toolFormat();
  return { id: manifest.id, config, manifest, tokenizer, eosId, renderChat, readChat, toolSyntax, prompts, sampling };
}

/**
 * The config, with every token that ends an answer: those of config.json, then those that
 * generation_config.json adds. All must be special tokens.
 */
function withAllEos(
  config: DecoderConfig,
  tokenizer: BundleTokenizer,
  more: DecoderConfig['eos_token_id'] | null,
): DecoderConfig {
  const special = new Set(tokenizer.specials.values());
  const eosOf = (file: string, tokenIds: DecoderConfig['eos_token_id']) => {
    const ids = eosIds({ eos_token_id: tokenIds });
    const ordinary = ids.find((id) => !special.has(id));
    if (ordinary === undefined) return ids;
    throw new BundleError(file, `eos_token_id: found ${ordinary}, wanted the id of a special token`);
  };
  const own = eosOf(BUNDLE_FILES.config, config.eos_token_id);
  if (more === null) return config;
  const all = new Set([...own, ...eosOf(GENERATION_CONFIG, more)]);
  return all.size === own.length ? config : { ...config, eos_token_id: [...all] };
}

/**
 * The text of the token that the template writes after a message. If tokenizer_config.json names
 * none, it is the first that ends an answer.
 */
function eosTokenOf(config: DecoderConfig, { specials }: BundleTokenizer, declared: string | null): string {
  const textOf = new Map([...specials].map(([content, id]) => [id, content]));
  const tokens = eosIds(config).map((id) => textOf.get(id)!);
  if (declared === null) return tokens[0]!;
  if (tokens.includes(declared)) return declared;
  throw new BundleError(
    BUNDLE_FILES.tokenizerConfig,
    `eos_token: found ${declared}, wanted ${tokens.join(' or ')} as in config.json`,
  );
}

/** One expert, checked against the base. */
export async function loadExpert(
  dir: string,
  { name, role, adapter: adapted = true }: Manifest['experts'][number],
  { config, prompts: { [role]: prompt } }: Pick<BundleHead, 'config' | 'prompts'>,
): Promise<Expert> {
  const own = { name, role, ...(prompt !== undefined && { prompt }) };
  if (!adapted) return { ...own, ...NO_ADAPTER };
  const files = expertFiles(name);
  const adapter = await readJson(dir, files.config, AdapterConfig);
  const layout = adapterLayout(adapter, config, files.config);
  const tensors = await readSafetensors(join(dir, files.weights), files.weights);
  checkTensors(tensors, adapterShapes(config, layout), files.weights);
  const { r: rank, lora_alpha: alpha, base_model_name_or_path: base } = adapter;
  const trainedOn = base == null || base === OWN_BASE ? {} : { trainedOn: base };
  return { ...own, rank, alpha, ...trainedOn, modules: adapterModules(tensors, layout) };
}

async function loadRouters(dir: string, { router }: Pick<Manifest, 'router'>, config: DecoderConfig): Promise<Routers> {
  const read = async (file: string, shapes: Map<string, number[]>) => {
    const tensors = await readSafetensors(join(dir, file), file);
    checkTensors(tensors, shapes, file);
    return tensors;
  };
  const { layers, logits } = router ?? {};
  return {
    layers:
      layers === undefined
        ? null
        : layersRouterOf(await read(ROUTER_FILES.layers, layersRouterShapes(config)), {
            variant: layers.variant,
            layerCount: config.num_hidden_layers,
          }),
    logits:
      logits === undefined
        ? null
        : logitsRouterOf(await read(ROUTER_FILES.logits, logitsRouterShapes(config, logits.width)), logits.width),
  };
}

/** A layers router mixes the experts in `down_proj`, so they may change nothing else. */
function checkMixable({ name, modules }: Expert): void {
  const kinds = new Set([...modules.keys()].map((module) => module.replace(/^model\.layers\.\d+\./, '')));
  kinds.delete(DOWN_PROJ);
  if (kinds.size === 0) return;
  throw new BundleError(
    expertFiles(name).config,
    `target_modules: found ${[...kinds].join(', ')}, wanted ${DOWN_PROJ} alone: ` +
      `${BUNDLE_FILES.manifest} names a layers router, which mixes experts only there`,
  );
}

/** Everything that a bundle, or a folder of experts, adds to its base. */
export async function loadAdditions(
  dir: string,
  head: Pick<BundleHead, 'config' | 'prompts'> & {
    manifest: Pick<Manifest, 'experts' | 'router' | 'probes'> & Partial<Pick<Manifest, 'scores'>>;
  },
): Promise<Pick<Bundle, 'experts' | 'routers' | 'probe'>> {
  const experts: Expert[] = [];
  for (const entry of head.manifest.experts) experts.push(await loadExpert(dir, entry, head));
  const routers = await loadRouters(dir, head.manifest, head.config);
  if (routers.layers !== null) experts.forEach(checkMixable);
  // They are read when somebody asks for scores. Here they are only checked.
  await readScoreHeads(dir, head.manifest, head.config);
  return { experts, routers, probe: await readProbe(dir, head.manifest, head.config) };
}

/** All of a bundle in memory, weights as f32. For training and for looking at; see `openBundle`. */
export async function loadBundle(dir: string): Promise<Bundle> {
  const head = await loadBundleHead(dir);
  return blamingDamage(head.manifest, async () => {
    const weights = await readWeights(dir, head);
    checkTensors(weights, weightShapes(head.config), BUNDLE_FILES.weights);
    const besides = await loadAdditions(dir, head);
    return { ...head, ...besides, weights, digest: await bundleDigest(dir, head.manifest) };
  });
}

/** A bundle whose experts run on engines elsewhere. */
export type RemoteBundle = BundleHead & { topK: number; digest: string };

/** Throws a BundleError if the bundle has weights of its own. */
export async function openRemoteBundle(dir: string): Promise<RemoteBundle> {
  const head = await loadBundleHead(dir);
  const { remote } = head.manifest;
  if (remote === undefined) throw new BundleError(BUNDLE_FILES.manifest, 'remote: found nothing, wanted its top_k');
  return { ...head, topK: remote.top_k, digest: await bundleDigest(dir, head.manifest) };
}

/** A bundle to serve from: the base's weights stay in their file, and are checked there. */
export async function openBundle(dir: string): Promise<ServedBundle> {
  const head = await loadBundleHead(dir);
  if (head.manifest.remote !== undefined) throw new BundleError(BUNDLE_FILES.manifest, NO_WEIGHTS);
  const file = BUNDLE_FILES.weights;
  return blamingDamage(head.manifest, async () => {
    const base = await openStoredBase(await findWeights(dir, head.manifest), { file, ...head });
    const besides = await loadAdditions(dir, head);
    const check = new FiniteCheck(base.tensors, file);
    const digest = await bundleDigest(dir, head.manifest, { onWeights: (bytes) => check.take(bytes) });
    return { ...head, ...besides, base, digest };
  });
}
