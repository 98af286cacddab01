/**
 * `plimsoll serve`: runs the whole stack on this machine as one tree of processes. serve itself
 * only supervises:
 *
 *     serve ─┬─ backend (one or more for each bundle): engine and bundle
 *            └─ edge: miniflare ── workerd
 *
 * The stack is ready once each bundle has answered a request. Whether a signal, a failure or a kill
 * ends it, it leaves nothing running. stdout gets only the line with `ready`; everything else goes
 * to stderr.
 */
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { Command } from 'commander';
import { type FolderLock, lockFolder } from '#gpu-backend/model/lock-folder.ts';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import { LOCAL_NAMES } from '#workers/local/local-names.ts';
import { putTenants, readTenantFolder } from '#workers/local/put-tenants.ts';
import { readDemoTenants, seedDemoTenants, sha256 } from '#workers/local/seed-demo-tenants.ts';
import { type BundleToServe, bundlesToServe } from './local/bundles-to-serve.ts';
import { checkStores } from './local/check-stores.ts';
import { contextOf } from './local/context-of.ts';
import type { EdgeReply, EdgeSettings } from './local/edge-process.ts';
import { hints, shown } from './local/hints.ts';
import { KNOWN_BUNDLE, type KnownBundle, knownBundle } from './local/known-bundle.ts';
import { freePorts, isPortFree } from './local/ports.ts';
import { loadSecrets, type Secrets } from './local/secrets.ts';
import { readServeConfig, type ServeConfig } from './local/serve-config.ts';
import { startProcess } from './local/start-process.ts';
import { type Supervised, supervise } from './local/supervise.ts';
import { tryRequest } from './local/try-request.ts';
import { addBackendOptions, type BackendFlags } from './options/backend-options.ts';
import { INSTALLED } from './options/installed.ts';

const CLI = new URL('./main.ts', import.meta.url);
const EDGE = new URL('./local/edge-process.ts', import.meta.url);

/**
 * This key is public and worth nothing: it opens only stores that `serve` itself has made, on the
 * loopback interface.
 */
const DEMO_OPERATOR_KEY = 'pk-demo-operator';

/**
 * A backend gives running answers 5 s to finish. This limit is for a backend that does not stop.
 */
const BACKEND_GRACE_MS = 8_000;
const EDGE_GRACE_MS = 3_000;
const HEALTH_TIMEOUT_MS = 10_000;
/** How long a start waits for a bundle to load that nobody asked for. */
const FOUND_BUNDLE_PATIENCE_MS = 60_000;
/**
 * The first bundle stays in memory. Those beside it may be large, and loading one again takes
 * seconds.
 */
const IDLE_UNLOAD_MINUTES = { first: 0, further: 15 };
/**
 * glibc raises this limit when large blocks are freed, and then keeps such blocks for later. With a
 * fixed limit, an engine that unloads gives them back to the system: of 820 MB, it then left 190 MB
 * resident and not 640 MB. Other C libraries ignore it.
 */
const GIVES_MEMORY_BACK = { MALLOC_MMAP_THRESHOLD_: process.env.MALLOC_MMAP_THRESHOLD_ ?? '1048576' };

/** The terminal is read by people. A collector gets JSON by PLIMSOLL_LOG=json. */
const FOR_PEOPLE = { PLIMSOLL_LOG: process.env.PLIMSOLL_LOG || 'text' };
/** Backends inherit these. The Worker has no environment of a process. */
const WATCHED = {
  LOG_REQUESTS: process.env.PLIMSOLL_LOG_REQUESTS || null,
  OTEL_EXPORTER_OTLP_ENDPOINT: process.env.OTEL_EXPORTER_OTLP_ENDPOINT || null,
  OTEL_EXPORTER_OTLP_HEADERS: process.env.OTEL_EXPORTER_OTLP_HEADERS || null,
  OTEL_TRACES_SAMPLER_ARG: process.env.OTEL_TRACES_SAMPLER_ARG || null,
};

const log = (message: string) => console.error(`plimsoll: ${message}`);

export function serveCommand(): Command {
  const command = new Command('serve')
    .description('run all of Plimsoll on this machine: backends, edge and demo tenants')
    .option('--bundle <dir>', 'a bundle to serve, in place of PLIMSOLL_BUNDLES; give it again for more', addTo, [])
    .option('--port <n>', 'where the edge listens, in place of PORT; 0 takes any free port')
    .option('--tenants <folder>', 'tenants to put into the store, beside the demo tenants: ID.json for each')
    .option('--no-pull', 'fetch no model; serve only what is there');
  return addBackendOptions(command)
    .addHelpText(
      'after',
      `
Settings come from the environment:
  PORT               where the edge listens (default 8787; 0 takes any free port)
  PLIMSOLL_BACKENDS  how many backends to run for each bundle (default 1)
  PLIMSOLL_DATA      the folder of all local state (default .plimsoll in ${INSTALLED ? 'the current folder' : 'the checkout'})
  PLIMSOLL_BUNDLES   the bundles to serve, separated by commas; PLIMSOLL_BUNDLE names a single one
                     (default models/demo, and ${KNOWN_BUNDLE} if it is in the cache or can be fetched in a minute)
  PLIMSOLL_TENANTS   a folder of tenants, as --tenants
  PLIMSOLL_NO_PULL   1 fetches no model, as --no-pull
  PLIMSOLL_CACHE     where fetched models lie (default plimsoll in the user's cache folder)
  PLIMSOLL_IDLE_UNLOAD_MINUTES
                     how long nobody must have asked a bundle before it gives its memory back; 0 means never
                     (default 0 for the first bundle, 15 for others)
  PLIMSOLL_CONTEXT   tokens of prompt and answer together, for each bundle; a model that has fewer takes its own
                     (default what memory allows)
  PLIMSOLL_PROVIDER  what runs the models: cpu, webgpu, cuda or auto (default cpu)
  PLIMSOLL_KV_BYTES, PLIMSOLL_PREFIX_CACHE, PLIMSOLL_PUBLIC_PREFIXES, PLIMSOLL_SPECULATION
                     for each backend, as the options say
  PLIMSOLL_NAMES     more host names to answer to, comma-separated, besides 127.0.0.1, localhost and [::1]
  PLIMSOLL_CORS      origins whose pages in a browser may call the API, comma-separated; loopback is whatever this
                     machine serves to itself, * every page, none nobody (default loopback)
docs/operations.md says more.`,
    )
    .action(({ bundle, ...options }: Flags) => serve(readServeConfig(process.env, { ...options, bundles: bundle })));
}

type Flags = BackendFlags & { port?: string; bundle: string[]; pull: boolean; tenants?: string };

const addTo = (dir: string, before: readonly string[]) => [...before, dir];

async function serve(config: ServeConfig): Promise<void> {
  const told = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => told.abort());
  // The launcher holds the other end of this channel. Without the launcher, nobody needs this
  // stack.
  process.on('disconnect', () => told.abort());
  process.channel?.unref();

  const stack = new Stack();
  try {
    await Promise.race([bringUp(stack, config), whenFired(told.signal)]);
    await whenFired(told.signal);
    log('stopping ...');
  } finally {
    await stack.stop();
  }
  log('stopped');
  process.exit(0);
}

/** Everything up to the `ready` line, top to bottom. */
async function bringUp(stack: Stack, config: ServeConfig): Promise<void> {
  const named = await bundlesToServe({ named: config.bundles, log });
  const folder = config.tenants === null ? null : await readTenantFolder(config.tenants);
  if (!(await isPortFree(config.port))) {
    throw new Error(
      `port ${config.port} is in use; choose another one, as in: ${INSTALLED ? 'npx plimsoll serve' : 'npm start --'} --port 8790`,
    );
  }
  makeFolder(config.dataDir);
  if (!stack.hold(config.dataDir)) {
    throw new Error(`another plimsoll runs on ${config.dataDir}; PLIMSOLL_DATA gives this one a folder of its own`);
  }
  const secrets = await loadSecrets(path.join(config.dataDir, 'secrets'));
  checkStores(path.join(config.dataDir, 'edge'));

  const found = config.bundles === null ? await stack.findBundle({ pull: config.pull }) : null;
  const bundles = found === null ? named : await bundlesToServe({ named: null, found: [found.dir], log });
  const served = await startBackends(stack, { bundles, config, secrets });

  log('starting the edge ...');
  const url = await stack.addEdge({
    port: config.port,
    dataDir: path.join(config.dataDir, 'edge'),
    backends: served.flatMap(({ urls }) => urls),
    moreNames: config.moreNames,
    demoKeys: [...(await readDemoTenants()).map(({ key }) => key), DEMO_OPERATOR_KEY],
    directiveSecret: secrets.directiveSecret,
    receiptJwks: secrets.receiptJwks,
    edgeReceiptJwk: secrets.edgeReceiptJwk,
    operatorKeySha256: sha256(DEMO_OPERATOR_KEY),
    overrides: { ...WATCHED, CORS_ORIGINS: config.corsOrigins.join(',') },
    withConsole: true,
  });
  const tenants = await seedDemoTenants(url, DEMO_OPERATOR_KEY);
  if (folder !== null) {
    const { changed } = await putTenants(folder, { url, operatorKey: DEMO_OPERATOR_KEY });
    log(
      `${folder.tenants.length} tenants of ${shown(config.tenants!)} are in the store, ${changed.length} of them changed`,
    );
  }

  log('asking for a first token ...');
  const answering: string[] = [];
  for (const { id, required, stop } of served) {
    try {
      await tryRequest(url, { key: tenants[0]!.key, model: id });
      answering.push(id);
    } catch (error) {
      if (required) throw error;
      log(`goes on without ${id}: ${error instanceof Error ? error.message : String(error)}`);
      stop();
    }
  }
  console.log(`ready ${url}`);
  // The first bundle is required, so it answers.
  const model = answering.at(-1)!;
  const prompted = found !== null && !found.trained && model === KNOWN_BUNDLE;
  console.error(
    await hints(url, { model, prompted, tenants, operatorKey: DEMO_OPERATOR_KEY, dataDir: config.dataDir }),
  );
}

type Served = Pick<BundleToServe, 'id' | 'required'> & { urls: string[]; stop: () => void };

/**
 * Starts the backends of all bundles at once, and resolves when all are ready, with the bundles in
 * the same order. One that nobody asked for and that fails is left out, and the log says so.
 */
async function startBackends(
  stack: Stack,
  { bundles, config, secrets }: { bundles: readonly BundleToServe[]; config: ServeConfig; secrets: Secrets },
): Promise<Served[]> {
  const count = config.backends;
  const folders = bundles.map(({ dir }) => shown(dir)).join(', ');
  log(`loading ${folders}${count > 1 ? ` into ${count} backends each` : ''} ...`);
  const ports = await freePorts(bundles.length * count);
  const started = bundles.map(async (bundle, index) => {
    const byDefault = index === 0 ? IDLE_UNLOAD_MINUTES.first : IDLE_UNLOAD_MINUTES.further;
    const dropped = new AbortController();
    const common = {
      bundle,
      idleUnloadMinutes: config.idleUnloadMinutes ?? byDefault,
      threads: config.threads,
      provider: config.provider,
      context: await contextOf(bundle.dir, config.context),
      variables: config.variables,
      secrets,
      dropped: dropped.signal,
    };
    const slow = bundle.required ? undefined : setTimeout(() => dropped.abort(), FOUND_BUNDLE_PATIENCE_MS);
    const backends = ports.slice(index * count, (index + 1) * count).map((port, copy) => {
      const name = `backend-${index * count + copy + 1}`;
      return stack.addBackend({ ...common, name, port }).catch((error: Error) => {
        if (bundle.required) throw error;
        const why = dropped.signal.aborted ? 'it takes too long to load' : error.message;
        log(`goes on without ${name}, for ${bundle.id} in ${shown(bundle.dir)}: ${why}`);
        return null;
      });
    });
    const ready = (await Promise.all(backends)).filter((url) => url !== null);
    clearTimeout(slow);
    const urls = dropped.signal.aborted ? [] : ready;
    return { id: bundle.id, required: bundle.required, urls, stop: () => dropped.abort() };
  });
  return (await Promise.all(started)).filter(({ urls }) => urls.length > 0);
}

/**
 * The running processes, and the order in which they stop: backends first, so that the edge can
 * pass on their last tokens.
 */
class Stack {
  readonly #stopBackends = new AbortController();
  readonly #stopEdge = new AbortController();
  #pulling: Promise<unknown> | undefined;
  readonly #backends: Supervised[] = [];
  #edge: Supervised | undefined;
  #lock: FolderLock | null = null;

  /** Locks the data folder. Returns false if another stack has locked it. */
  hold(dataDir: string): boolean {
    this.#lock = lockFolder(dataDir);
    return this.#lock !== null;
  }

  /** Resolves with a bundle to serve beside the demo, or null if none can be had. */
  async findBundle({ pull }: { pull: boolean }): Promise<KnownBundle | null> {
    const found = knownBundle({ env: process.env, pull, signal: this.#stopBackends.signal, log });
    this.#pulling = found.catch(() => undefined);
    return found;
  }

  /** Resolves with the backend's URL once it answers. */
  async addBackend(options: {
    name: string;
    port: number;
    bundle: BundleToServe;
    idleUnloadMinutes: number;
    threads: string;
    provider: string;
    context: number | null;
    /** More settings, by variable. */
    variables: Readonly<Record<string, string>>;
    secrets: Secrets;
    /** Ends this backend, and leaves the others. */
    dropped: AbortSignal;
  }): Promise<string> {
    const { name, port, bundle, idleUnloadMinutes, threads, provider, context, variables, secrets, dropped } = options;
    const url = `http://127.0.0.1:${port}`;
    const signal = AbortSignal.any([this.#stopBackends.signal, dropped]);
    const backend = supervise(name, {
      start: async () => {
        const running = await startProcess(CLI, {
          args: ['backend'],
          env: {
            ...GIVES_MEMORY_BACK,
            ...FOR_PEOPLE,
            ...variables,
            PLIMSOLL_BUNDLE: bundle.dir,
            PLIMSOLL_IDLE_UNLOAD_MINUTES: String(idleUnloadMinutes),
            PLIMSOLL_BACKEND_HOST: '127.0.0.1',
            PLIMSOLL_BACKEND_PORT: String(port),
            PLIMSOLL_BACKEND_ID: name,
            PLIMSOLL_BACKEND_NAMES: LOCAL_NAMES.join(','),
            // The edge here has them in its settings, and no other could reach them.
            PLIMSOLL_REGISTER: '',
            PLIMSOLL_THREADS: threads,
            PLIMSOLL_PROVIDER: provider,
            PLIMSOLL_CONTEXT: context === null ? '' : String(context),
            PLIMSOLL_DIRECTIVE_SECRET: secrets.directiveSecret,
            PLIMSOLL_DRAW_SECRET: secrets.drawSecret,
            PLIMSOLL_RECEIPT_PRIVATE_JWK: JSON.stringify(secrets.receiptPrivateJwk),
          },
          stdout: 'pipe',
          ready: (child) => saysReady(child.stdout!),
          signal,
          graceMs: BACKEND_GRACE_MS,
        });
        log(`${name} is process ${running.pid}, with its metrics at ${url}/metrics, and serves ${bundle.id}`);
        return running;
      },
      check: () => isHealthy(url),
      signal,
      log,
    });
    this.#backends.push(backend);
    await backend.ready;
    return url;
  }

  /** Resolves with the edge's URL once it listens. */
  async addEdge(options: EdgeSettings): Promise<string> {
    let { port } = options;
    const { signal } = this.#stopEdge;
    this.#edge = supervise('the edge', {
      start: () =>
        startProcess(EDGE, {
          ready: async (child) => {
            const reply = new Promise<EdgeReply>((resolve) => child.once('message', resolve));
            child.send({ ...options, port });
            const outcome = await reply;
            if ('error' in outcome) throw new Error(outcome.error);
            // Even if the first start could take any free port, a restart must use the same one.
            port = Number(new URL(outcome.url).port);
          },
          signal,
          graceMs: EDGE_GRACE_MS,
        }),
      check: () => isHealthy(`http://127.0.0.1:${port}`),
      signal,
      log,
    });
    await this.#edge.ready;
    return `http://127.0.0.1:${port}`;
  }

  async stop(): Promise<void> {
    this.#stopBackends.abort();
    await this.#pulling;
    await Promise.all(this.#backends.map(({ closed }) => closed));
    this.#stopEdge.abort();
    await this.#edge?.closed;
    this.#lock?.release();
  }
}

/** Resolves when the backend prints its `ready` line. Its other lines are for people. */
function saysReady(stdout: Readable): Promise<void> {
  return new Promise((resolve) => {
    createInterface({ input: stdout }).on('line', (line) => (line.startsWith('ready ') ? resolve() : log(line)));
  });
}

async function isHealthy(url: string): Promise<void> {
  const answer = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(HEALTH_TIMEOUT_MS) });
  await answer.body?.cancel();
}

const whenFired = (signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
