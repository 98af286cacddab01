/**
 * Starts the engine of a backend: one over a bundle's own weights, in a thread, or one over engines
 * of other people, if the bundle says that its experts run there.
 */
import { totalmem } from 'node:os';
import type { Engine } from '../engine/engine.ts';
import { startWorkerEngine } from '../engine/worker-engine.ts';
import { BUNDLE_FILES } from '../model/bundle-files.ts';
import { checkPrompts } from '../model/expert-prompt.ts';
import type { BundleHead } from '../model/load-bundle.ts';
import { findWeights } from '../model/shared-base.ts';
import { checkAdapterNames, readEnginesFile } from '../remote/engines-file.ts';
import { startRemoteEngine } from '../remote/start-remote-engine.ts';
import { chooseContext } from './choose-context.ts';
import { choosePrefixBytes } from './choose-prefix-bytes.ts';
import { chooseSpeculation } from './choose-speculation.ts';
import type { BackendConfig } from './config.ts';
import type { Log } from './log.ts';
import { watchWeights } from './watch-weights.ts';

type Started = {
  engine: Engine;
  /** Tokens of prompt and answer together. */
  contextLength: number;
};

/** Throws an Error if the settings do not fit the bundle, or if the engine cannot start. */
export async function startEngine(head: BundleHead, config: BackendConfig, log: Log): Promise<Started> {
  const { engines } = config;
  if (head.manifest.remote === undefined) {
    if (engines === null) return startOwnEngine(head, config, log);
    throw new Error(`PLIMSOLL_ENGINES: is set, but ${head.id} has weights of its own; wanted a bundle without`);
  }
  if (engines !== null) return startGateNode(head, { ...config, engines }, log);
  throw new Error(`PLIMSOLL_ENGINES: is not set, but the experts of ${head.id} run on engines elsewhere`);
}

async function startGateNode(
  head: BundleHead,
  { bundle, engines, context, maxRows, maxWaiting, speculation, drawSecret }: BackendConfig & { engines: string },
  log: Log,
): Promise<Started> {
  const most = head.config.max_position_embeddings;
  if (context !== null && context > most) {
    throw new Error(`PLIMSOLL_CONTEXT: found ${context}, wanted at most the ${most} tokens of ${head.id}`);
  }
  const contextLength = context ?? most;
  checkPrompts(head.prompts, { ...head, contextLength });
  const file = await readEnginesFile(engines);
  checkAdapterNames(file, head.manifest);
  for (const role of ['safety', 'helpfulness'] as const) {
    const { engine, urls, model } = file[role];
    log(`${head.id}: the ${role} expert is ${model ?? 'what is served'} on ${engine} at ${urls.join(', ')}`);
  }
  const limits = { maxRows, maxWaiting, speculation: speculation !== 'off' };
  const own = { limits, warn: log, cacheSecret: drawSecret };
  const engine = await startRemoteEngine({ dir: bundle, engines: file, contextLength, ...own });
  return { engine, contextLength };
}

async function startOwnEngine(head: BundleHead, config: BackendConfig, log: Log): Promise<Started> {
  const { bundle: dir, threads, provider, maxRows, maxWaiting, idleUnloadMinutes } = config;
  const speculation = chooseSpeculation(config.speculation, head.manifest);
  const context = chooseContext(head, {
    wanted: config.context,
    wantedKvBytes: config.kvBytes,
    freeBytes: process.availableMemory(),
    totalBytes: totalmem(),
  });
  log(context.reason);
  const { bytes: prefixBytes, reason } = choosePrefixBytes({
    ...context,
    wanted: config.prefixCache,
    totalBytes: totalmem(),
  });
  log(`${head.id}: ${reason}`);
  checkPrompts(head.prompts, { ...head, contextLength: context.tokens });
  // Without a file, the engine says what is wrong.
  const weights = await watchWeights(await findWeights(dir, head.manifest)).catch(() => null);
  const starting = startWorkerEngine({
    dir,
    threads,
    provider,
    contextLength: context.tokens,
    limits: { maxRows, maxWaiting, kvBytes: context.kvBytes, prefixBytes, speculation },
    idleMs: idleUnloadMinutes === 0 ? null : idleUnloadMinutes * 60_000,
    onPassedOver: log,
    warn: log,
  });
  const engine = await starting.catch(async (error: unknown) => {
    await weights?.stop();
    throw error;
  });
  void engine.closed.then(() => weights?.stop());
  void weights?.changed.then((what) => {
    log(`${head.id}: ${BUNDLE_FILES.weights}: ${what}; the engine stops, because it serves from this file`);
    return engine.close();
  });
  if (provider !== 'cpu') log(`the model runs on ${engine.info.provider}`);
  return { engine, contextLength: context.tokens };
}
