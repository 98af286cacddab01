/**
 * Starts a backend from its settings: bundle, engine, HTTP server. It is ready when `startBackend`
 * resolves.
 */
import '../graph/no-telemetry.ts';
import { stat } from 'node:fs/promises';
import type { Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createAdaptorServer } from '@hono/node-server';
import type { Vocabulary } from '#shared/answer/vocabulary.ts';
import { PLAIN_SAMPLING, type Sampling } from '#shared/api/sampling.ts';
import { type DrawSecrets, importDrawSecret } from '#shared/protocol/derive-draw-key.ts';
import { directiveKey } from '#shared/protocol/directive.ts';
import { expertKeysOf, helpfulnessKeysOf, ROLES, type Role } from '#shared/protocol/expert-directive.ts';
import type { ToolSyntax } from '#shared/tools/tool-syntax.ts';
import { OtlpHeaders } from '#shared/trace/otlp-settings.ts';
import { bundleVocabulary } from '../engine/bundle-vocabulary.ts';
import { collectGarbage } from '../engine/collect-garbage.ts';
import type { Engine } from '../engine/engine.ts';
import { expertKinds } from '../model/expert-kinds.ts';
import { loadBundleHead } from '../model/load-bundle.ts';
import { createScorer } from '../scores/scorer.ts';
import { createApp } from './app.ts';
import { BackendConfig, type BackendOptions } from './config.ts';
import { createDrains } from './drains.ts';
import { type EncodePrompt, promptEncoder } from './encode-prompt.ts';
import { type EncodeRaw, rawEncoder } from './encode-raw.ts';
import { serveExperts } from './expert-sockets.ts';
import { type Log, logTo } from './log.ts';
import { publicTokensOf, readSystemPrompts } from './public-prefixes.ts';
import { receiptSigner } from './receipt-signer.ts';
import { type Registration, startRegistration } from './register.ts';
import { registerReport } from './register-report.ts';
import { conversationEncoder, type Scoring } from './score-route.ts';
import { startEngine } from './start-engine.ts';
import { type TokenizerWorker, tokenizerWorker } from './tokenize-route.ts';
import { tracedRequests } from './traced-request.ts';
import { tryEngine } from './try-engine.ts';

export type Backend = {
  /** Where it listens, without a trailing slash. */
  url: string;
  /**
   * Takes no new requests and lets running answers finish for `graceMs`. Then it ends them and
   * frees everything. A request whose body is still coming counts as new, and is told so. Until the
   * last response has been sent, it says to whoever asks that it drains.
   */
  close(): Promise<void>;
  /** Settles when the engine is gone: after `close`, or because it failed. */
  engineStopped: Promise<void>;
};

export async function startBackend(options: BackendOptions, { log: given }: { log?: Log } = {}): Promise<Backend> {
  const config = BackendConfig.parse(options);
  const log = given ?? logTo(config.log);
  const head = await loadBundleHead(config.bundle);
  collectGarbage();
  const { safety, helpfulness } = expertKinds(head);
  if (safety.kind === 'base' && helpfulness.kind === 'base') {
    log(`${head.id}: both experts are the bare base model, so no floor and no budget makes a difference`);
  }
  const { publicPrefixes, threads } = config;
  const publicPrompts = publicPrefixes === null ? [] : await readSystemPrompts(publicPrefixes);
  const { engine, contextLength } = await startEngine(head, config, log);
  try {
    const { readChat, ...rest } = head;
    const reads = head.manifest.probes === undefined ? rest : { ...rest, readChat };
    const encodePrompt = promptEncoder(reads, contextLength, {
      publicTokensOf: publicTokensOf(publicPrompts, head),
    });
    await tryEngine(engine, encodePrompt);
    const { mtimeMs } = await stat(path.join(config.bundle, 'plimsoll.json'));
    const { manifest } = head;
    const encodeRaw = rawEncoder(head, { contextLength, looks: head.manifest.probes !== undefined });
    const scorer = createScorer({ dir: config.bundle, threads, contextLength });
    return await serveEngine(engine, encodePrompt, config, {
      log,
      scoring: manifest.scores === undefined ? null : { scorer, encode: conversationEncoder(head, contextLength) },
      tokenize: tokenizerWorker(head, contextLength),
      created: Math.floor(mtimeMs / 1000),
      sampling: head.sampling,
      toolSyntax: head.toolSyntax,
      registering: config,
      vocabulary: bundleVocabulary(head),
      encodeRaw,
    });
  } catch (error) {
    await engine.close();
    throw error;
  }
}

/** What registering reads, and health of it what fits. */
type RegisterConfig = Pick<
  BackendConfig,
  'maxRows' | 'maxWaiting' | 'register' | 'publicUrl' | 'region' | 'heartbeatMs'
>;

/** What a backend can do without. */
type WithDefault =
  | 'oldDirectiveSecrets'
  | 'oldDrawSecrets'
  | 'log'
  | 'logRequests'
  | 'otlpEndpoint'
  | 'otlpHeaders'
  | 'traceRatio'
  | 'serves';

/** Starts a backend over an engine of any kind. From then on, the backend owns the engine. */
export async function serveEngine(
  engine: Engine,
  encodePrompt: EncodePrompt,
  config: Omit<
    BackendConfig,
    | 'bundle'
    | 'engines'
    | 'threads'
    | 'provider'
    | 'context'
    | 'kvBytes'
    | 'prefixCache'
    | 'publicPrefixes'
    | 'speculation'
    | 'idleUnloadMinutes'
    | keyof RegisterConfig
    | WithDefault
  > &
    Partial<Pick<BackendConfig, WithDefault>>,
  {
    log = logTo('json'),
    created,
    sampling,
    toolSyntax = null,
    scoring: given = null,
    tokenize = null,
    registering,
    vocabulary,
    encodeRaw,
  }: {
    log?: Log;
    created?: number;
    sampling?: Sampling;
    toolSyntax?: ToolSyntax | null;
    scoring?: Scoring | null;
    tokenize?: TokenizerWorker | null;
    registering?: RegisterConfig | undefined;
    /** Without it, no edge can mix this backend's experts itself. */
    vocabulary?: Vocabulary;
    /** Without it, it takes no prompts without turns. */
    encodeRaw?: EncodeRaw;
  } = {},
): Promise<Backend> {
  const { oldDirectiveSecrets = [], oldDrawSecrets = [] } = config;
  const { otlpEndpoint = null, otlpHeaders = '', traceRatio = 1 } = config;
  const directiveKeys = [directiveKey(config.directiveSecret), ...oldDirectiveSecrets.map(directiveKey)] as const;
  // The helpfulness pool may be other people's.
  const isHelpfulPool = config.serves === 'helpfulness';
  const drawSecrets = isHelpfulPool ? null : await importDrawSecrets(config.drawSecret, oldDrawSecrets);
  const scoring = isHelpfulPool ? null : given;
  let registration: Registration | null = null;
  const drains = createDrains((isDraining) => {
    log(isDraining ? 'drains: takes nothing new' : 'takes new requests again');
    void registration?.beat();
  });
  const serves = rolesServed(config.serves ?? 'all', vocabulary !== undefined);
  const beginTraced = tracedRequests({
    otlp: { endpoint: otlpEndpoint, headers: OtlpHeaders.parse(otlpHeaders), ratio: traceRatio },
    backendId: config.backendId,
    logRequests: config.logRequests === '1',
    log,
  });
  const app = createApp({
    engine,
    serves,
    answers: (config.serves ?? 'all') === 'all',
    encodePrompt,
    encodeRaw,
    directiveKeys,
    drawSecrets,
    sign: config.receiptPrivateJwk && (await receiptSigner(config.receiptPrivateJwk)),
    backendId: config.backendId,
    created,
    sampling,
    toolSyntax,
    scoring,
    tokenize: isHelpfulPool ? null : tokenize,
    capacity: registering && { rows: registering.maxRows, waiting: registering.maxWaiting },
    bodyLimitBytes: config.bodyLimitBytes,
    hostNames: config.hostNames,
    drains,
    beginTraced,
    log,
  });
  // The server speaks HTTP/1.1, because we do not ask for anything else.
  const server = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false }) as Server;
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  /** Responses to requests that came before the drain, from their headers to their last byte. */
  const inHand = new Set<ServerResponse>();
  server.on('request', ({ url }, response) => {
    if (drains.isDraining || url?.split('?', 1)[0] !== '/v1/generate') return;
    inHand.add(response);
    response.once('close', () => inHand.delete(response));
  });
  let endSockets = () => {};
  if (vocabulary !== undefined && serves.length > 0) {
    const { backendId, bodyLimitBytes } = config;
    const keys = await (isHelpfulPool ? helpfulnessKeysOf : expertKeysOf)(directiveKeys);
    const about = { engine, encodePrompt, keys, drawSecrets, backendId, bodyLimitBytes, drains, beginTraced };
    endSockets = serveExperts(server, { ...about, roles: serves, vocabulary });
  }
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(config.port, config.host, resolve);
  });
  const { address, family, port } = server.address() as AddressInfo;
  const url = `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
  if (registering !== undefined && registering.register !== null) {
    const { register: edge, publicUrl, ...rest } = registering;
    const { backendId } = config;
    const draws = drawSecrets?.[0].id;
    const answers = (config.serves ?? 'all') === 'all';
    const scores = scoring !== null;
    const served = { created, draws, serves, answers, sampling: sampling ?? PLAIN_SAMPLING, scores, toolSyntax };
    const about = { ...rest, url: publicUrl ?? url, backendId, ...served };
    registration = startRegistration({
      edge,
      directiveKeys,
      heartbeatMs: registering.heartbeatMs,
      report: () => registerReport(engine, drains.isDraining, about),
      onDrain: (drain) => drains.set('directory', drain),
      log,
    });
  }

  const close = async () => {
    drains.set('closing', true);
    const grace = sleep(config.graceMs, undefined, { ref: false });
    // If the engine is already gone, no answer can finish.
    const isOver = Promise.race([engine.closed, grace]);
    const isBusy = () => {
      const { running, waiting } = engine.stats();
      return inHand.size + running + waiting > 0;
    };
    await untilIdle(isBusy, isOver);
    // While it drained, it said so. Nothing comes any more, so it can leave.
    await registration?.leave();
    const served = new Promise<void>((resolve) => server.close(() => resolve()));
    // When its answer ends, a connection becomes idle and would stay open for the next request.
    const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_MS);
    await Promise.race([served, isOver]);
    await Promise.all([engine.close(), given?.scorer.close()]);
    // The error frames of the answers just ended are on their way. We do not wait for a client that
    // does not read them.
    await Promise.race([served, sleep(FLUSH_MS, undefined, { ref: false })]);
    endSockets();
    server.closeAllConnections();
    await served;
    clearInterval(sweep);
  };
  let closing: Promise<void> | undefined;
  return {
    url,
    close: () => (closing ??= close()),
    engineStopped: engine.closed,
  };
}

async function importDrawSecrets(secret: string | null, old: readonly string[]): Promise<DrawSecrets> {
  if (secret === null) throw new Error('the backend has no draw secret');
  return [await importDrawSecret(secret), ...(await Promise.all(old.map(importDrawSecret)))];
}

/** The experts whose rows an edge may ask for. */
function rolesServed(serves: BackendConfig['serves'], canServe: boolean): readonly Role[] {
  if (!canServe) return [];
  return serves === 'all' ? ROLES : [serves];
}

/** Waits until nothing is busy any more, or until `isOver`. */
async function untilIdle(isBusy: () => boolean, isOver: Promise<unknown>): Promise<void> {
  let waits = true;
  void isOver.then(() => {
    waits = false;
  });
  while (waits && isBusy()) await Promise.race([sleep(SWEEP_MS), isOver]);
}

/**
 * Longer than clients and proxies keep an idle connection, so that they close it, not we. If we
 * closed it, a request could arrive at that very moment.
 */
const KEEP_ALIVE_MS = 75_000;
const SWEEP_MS = 50;
const FLUSH_MS = 500;
