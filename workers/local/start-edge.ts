/**
 * Runs the Worker on this machine: the same code under the same runtime, with real bindings, all
 * read from wrangler.toml. miniflare's telemetry and its fetch of request metadata are off, so
 * nothing leaves the machine.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { JSONWebKeySet, JWK } from 'jose';
import { Miniflare } from 'miniflare';
import { parse as parseToml } from 'smol-toml';
import * as z from 'zod';
import { writeConsole } from './build-console.ts';
import { bundleWorker } from './bundle-worker.ts';
import { assertLoopbackCut, cutLoopback } from './cut-loopback.ts';
import { LOCAL_NAMES } from './local-names.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const HOST = '127.0.0.1';

/** The part of wrangler.toml that we use. */
const Wrangler = z.object({
  name: z.string(),
  main: z.string(),
  compatibility_date: z.string(),
  compatibility_flags: z.array(z.string()),
  durable_objects: z.object({ bindings: z.array(z.object({ name: z.string(), class_name: z.string() })) }),
  kv_namespaces: z.array(z.object({ binding: z.string() })),
  queues: z.object({
    producers: z.array(z.object({ binding: z.string(), queue: z.string() })),
    consumers: z.array(
      z.object({ queue: z.string(), max_batch_size: z.int(), max_batch_timeout: z.int(), max_retries: z.int() }),
    ),
  }),
  d1_databases: z.array(z.object({ binding: z.string() })),
});

export type EdgeOptions = {
  /** 0 means any free port. */
  port: number;
  /** Where Durable Objects and KV keep their files. */
  dataDir: string;
  /** Host names to answer to, besides those of this machine. */
  moreNames?: readonly string[];
  /** Keys that everybody may know, for the front page. */
  demoKeys?: readonly string[];
  /** The backends' URLs. */
  backends: readonly string[];
  directiveSecret: string;
  /** The backends' public receipt keys. */
  receiptJwks: JSONWebKeySet;
  /** Signs the edge's own receipts. Without one, there are none. */
  edgeReceiptJwk?: JWK;
  operatorKeySha256: string;
  /** Replaces models/classifier/classifier.bin. */
  classifierPath?: string;
  /** Replaces the `main` of wrangler.toml. */
  entry?: string;
  /** Gets each line that the Worker or its runtime writes. By default they go to stderr. */
  log?: (line: string) => void;
  /** Lets `Edge.miniflare` look into the storage of the Durable Objects. */
  inspectStorage?: boolean;
  /** Settings to change or, if null, to leave out. */
  overrides?: Readonly<Record<string, string | null>>;
  /** Bindings to leave out. */
  without?: readonly string[];
  /**
   * Whether the Cache API keeps anything. Here, one isolate serves everybody and keeps answers
   * itself, and what it would add is answers on this machine's disk.
   */
  sharedCache?: boolean;
  /** Whether to build and serve the console. */
  withConsole?: boolean;
};

export type Edge = {
  url: string;
  /** For tests: the storage behind the Worker. */
  miniflare: Miniflare;
  dispose(): Promise<void>;
};

/**
 *     const edge = await startEdge({ port: 8787, dataDir: '.plimsoll/edge', backends, ... });
 *     await fetch(`${edge.url}/healthz`);
 */
export async function startEdge(options: EdgeOptions): Promise<Edge> {
  const wrangler = Wrangler.parse(parseToml(await readFile(path.join(ROOT, 'wrangler.toml'), 'utf8')));
  const settings: Record<string, string | null> = {
    BACKENDS: JSON.stringify(options.backends),
    POOL_REGISTRATION: 'on',
    DIRECTIVE_SECRET: options.directiveSecret,
    RECEIPT_JWKS: JSON.stringify(options.receiptJwks),
    EDGE_RECEIPT_JWK: options.edgeReceiptJwk === undefined ? null : JSON.stringify(options.edgeReceiptJwk),
    OPERATOR_KEY_SHA256: options.operatorKeySha256,
    HOST_NAMES: [...LOCAL_NAMES, ...(options.moreNames ?? [])].join(','),
    DEMO_KEYS: (options.demoKeys ?? []).join(','),
    ...options.overrides,
  };
  const { classifierPath, without = [], log = (line) => process.stderr.write(`${line}\n`) } = options;
  const bound = <T extends { binding: string }>(all: readonly T[]) =>
    all.filter(({ binding }) => !without.includes(binding));
  const consoleFolder = path.join(options.dataDir, 'console');
  if (options.withConsole === true) await writeConsole(consoleFolder);
  cutLoopback();
  const miniflare = new Miniflare({
    name: wrangler.name,
    cf: false,
    telemetry: { enabled: false },
    unsafeInspectDurableObjects: options.inspectStorage ?? false,
    defaultPersistRoot: options.dataDir,
    // The Worker itself listens: miniflare's own entry in front of it would cost each request a
    // hop.
    unsafeDirectSockets: [{ host: HOST, port: options.port }],
    host: HOST,
    port: 0,
    handleRuntimeStdio(stdout: Readable, stderr: Readable) {
      for (const stream of [stdout, stderr]) createInterface(stream).on('line', log);
    },
    modules: await bundleWorker(options.entry ?? path.join(ROOT, wrangler.main), {
      binaries: classifierPath === undefined ? {} : { 'classifier.bin': classifierPath },
    }),
    compatibilityDate: wrangler.compatibility_date,
    compatibilityFlags: wrangler.compatibility_flags,
    durableObjects: Object.fromEntries(
      wrangler.durable_objects.bindings
        .filter(({ name }) => !without.includes(name))
        .map(({ name, class_name }) => [
          name,
          // It has its rows in memory alone, and here nothing is saved by evicting it.
          { className: class_name, useSQLite: true, unsafePreventEviction: name === 'LIVE_TRAFFIC' },
        ]),
    ),
    queueProducers: Object.fromEntries(bound(wrangler.queues.producers).map(({ binding, queue }) => [binding, queue])),
    queueConsumers: Object.fromEntries(
      wrangler.queues.consumers.map(({ queue, max_batch_size, max_batch_timeout, max_retries }) => [
        queue,
        { maxBatchSize: max_batch_size, maxBatchTimeout: max_batch_timeout, maxRetries: max_retries },
      ]),
    ),
    d1Databases: bound(wrangler.d1_databases).map(({ binding }) => binding),
    cache: options.sharedCache ?? false,
    kvNamespaces: wrangler.kv_namespaces.map(({ binding }) => binding),
    // miniflare's own assets would put two more Workers before each request. This is a plain
    // folder, and the Worker asks it as it asks the assets of a deployment.
    ...(options.withConsole === true && { serviceBindings: { ASSETS: { disk: { path: consoleFolder } } } }),
    bindings: Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== null)),
  });
  try {
    await miniflare.ready;
    assertLoopbackCut();
    const url = await miniflare.unsafeGetDirectURL();
    return { url: url.origin, miniflare, dispose: () => miniflare.dispose() };
  } catch (error) {
    await miniflare.dispose().catch(() => undefined);
    throw error;
  }
}
