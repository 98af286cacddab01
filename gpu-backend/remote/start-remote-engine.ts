/**
 * The engine of a remote bundle. It computes next to nothing, so it runs in the thread of the HTTP
 * server: the backend is a gate node, which holds requests, lines, the gate and receipts.
 */
import { bundleVocabulary } from '../engine/bundle-vocabulary.ts';
import type { Engine, EngineLimits } from '../engine/engine.ts';
import { startLocalEngine } from '../engine/local-engine.ts';
import { expertKinds } from '../model/expert-kinds.ts';
import { openRemoteBundle } from '../model/load-bundle.ts';
import { type EnginesFile, remoteEngines } from './engines-file.ts';
import { RemoteExperts } from './remote-experts.ts';

export async function startRemoteEngine({
  dir,
  engines,
  contextLength,
  limits,
  warn,
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
  /** Holds the engines' keys. */
  env?: Readonly<Record<string, string | undefined>>;
}): Promise<Engine> {
  const bundle = await openRemoteBundle(dir);
  const { id, config, manifest, topK, digest, tokenizer } = bundle;
  const { vocab_size: vocabSize } = config;
  return startLocalEngine({
    experts: new RemoteExperts(remoteEngines(engines, { topK, vocabSize, env }), { vocabSize, topK }),
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
    limits,
    warn,
  });
}
