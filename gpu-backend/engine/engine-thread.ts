/**
 * The engine's thread: loads the bundle, builds the session, serves its parent's port.
 * worker-engine.ts starts it.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { expertKinds } from '../model/expert-kinds.ts';
import { openBundle } from '../model/load-bundle.ts';
import { halfProposal, proposeWeight, routerEnd } from '../model/propose-weight.ts';
import { bundleVocabulary } from './bundle-vocabulary.ts';
import { collectGarbage } from './collect-garbage.ts';
import { hostEngine } from './engine-host.ts';
import type { FromEngine } from './engine-messages.ts';
import { OnnxExperts } from './onnx-experts.ts';
import { createMaskOf } from './token-mask.ts';
import type { WorkerOptions } from './worker-engine.ts';

// Only worker-engine.ts starts this file, with these options.
const { dir, threads, provider, contextLength, limits } = workerData as WorkerOptions;
const port = parentPort!;

try {
  const opened = await openBundle(dir);
  // Before the session too, so that this garbage does not add to its peak.
  collectGarbage();
  // The graph holds rotary tables for the positions that this backend serves, no more.
  const max_position_embeddings = contextLength ?? opened.config.max_position_embeddings;
  const bundle = { ...opened, config: { ...opened.config, max_position_embeddings } };
  const { id, manifest, routers, probe, digest, tokenizer } = bundle;
  const { logits } = routers;
  const vocabulary = bundleVocabulary(bundle);
  hostEngine(
    port,
    {
      experts: await OnnxExperts.create(bundle, {
        threads,
        provider,
        prefixBytes: limits.prefixBytes,
        kvBytes: limits.kvBytes,
      }),
      vocabulary,
      maskOf: createMaskOf(vocabulary, { size: bundle.config.vocab_size, prepared: true }),
      info: {
        model: id,
        contextLength: max_position_embeddings,
        maxTokenBytes: tokenizer.maxTokenBytes,
        digest,
        experts: expertKinds(bundle),
        provider,
        router: logits === null ? undefined : routerEnd(logits),
      },
      proposal: logits === null ? manifest.default_weight : (s, h) => proposeWeight(logits, s, h),
      halfOf: logits === null ? undefined : (role, hidden) => halfProposal(logits, role, hidden),
      probe,
      limits,
      warn: (message, cause) => console.error(message, cause),
    },
    () => port.close(),
  );
  collectGarbage();
} catch (thrown) {
  const message: FromEngine = { type: 'failed', message: thrown instanceof Error ? thrown.message : String(thrown) };
  port.postMessage(message);
  port.close();
}
