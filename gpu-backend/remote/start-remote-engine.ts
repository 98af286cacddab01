/**
 * The engine of a remote bundle. It computes next to nothing, so it runs in the thread of the HTTP
 * server: the backend is a gate node, which holds requests, lines, the gate and receipts.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { bundleVocabulary } from '../engine/bundle-vocabulary.ts';
import type { Engine, EngineLimits } from '../engine/engine.ts';
import { startLocalEngine } from '../engine/local-engine.ts';
import { expertKinds } from '../model/expert-kinds.ts';
import { openRemoteBundle } from '../model/load-bundle.ts';
import { type EnginesFile, positionsOf, remoteEngines } from './engines-file.ts';
import { RemoteExperts } from './remote-experts.ts';
import { tokenTexts } from './token-texts.ts';

export async function startRemoteEngine({
  dir,
  engines,
  contextLength,
  limits,
  warn,
  cacheSecret = null,
  env = process.env,
}: {
  /** The bundle's folder. */
  dir: string;
  engines: EnginesFile;
  /** Tokens of prompt and answer together. */
  contextLength: number;
  limits: Partial<EngineLimits>;
  /** Writes to the log of whoever runs the engine, above all which server failed, and why. */
  warn: (message: string, cause?: unknown) => void;
  /**
   * Makes the salts that keep tenants apart in the engines' prefix caches. Gate nodes that have the
   * same one find what the others have read; with null, this one keeps to itself.
   */
  cacheSecret?: string | null;
  /** Holds the engines' keys. */
  env?: Readonly<Record<string, string | undefined>>;
}): Promise<Engine> {
  const bundle = await openRemoteBundle(dir);
  const { id, config, manifest, topK, digest, tokenizer } = bundle;
  const { vocab_size: vocabSize } = config;
  const positions = positionsOf(engines);
  const salting = cacheSecret ?? randomBytes(32);
  return startLocalEngine({
    experts: new RemoteExperts(remoteEngines(engines, { topK, vocabSize, env, idOfText: tokenTexts(bundle), warn }), {
      ...{ vocabSize, topK, positions },
      cacheSaltOf: (tenant) => createHmac('sha256', salting).update(`prefix cache of ${tenant}`).digest('base64url'),
    }),
    vocabulary: bundleVocabulary(bundle),
    info: {
      model: id,
      contextLength,
      maxTokenBytes: tokenizer.maxTokenBytes,
      digest,
      experts: expertKinds(bundle),
      provider: null,
      router: undefined,
    },
    proposal: manifest.default_weight,
    limits: { ...limits, speculation: limits.speculation !== false && positions > 1 },
    warn,
  });
}
