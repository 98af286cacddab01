/**
 * `plimsoll serve`: runs the whole stack on this machine as one tree of processes. serve itself
 * only supervises:
 *
 *     serve ─┬─ backend (one or more): engine and bundle
 *            └─ edge: miniflare ── workerd
 *
 * The stack is ready once it has answered a request. Whether a signal, a failure or a kill ends it,
 * it leaves nothing running. stdout gets only the line with `ready`; everything else goes to
 * stderr.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { Command } from 'commander';
import { type FolderLock, lockFolder } from '#gpu-backend/model/lock-folder.ts';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import { Policy } from '#policies/schema.ts';
import { LOCAL_NAMES } from '#workers/local/local-names.ts';
import { type DemoTenant, readDemoTenants, seedDemoTenants, sha256 } from '#workers/local/seed-demo-tenants.ts';
import { checkStores } from './local/check-stores.ts';
import type { EdgeReply, EdgeSettings } from './local/edge-process.ts';
import { freePorts, isPortFree } from './local/ports.ts';
import { loadSecrets, type Secrets } from './local/secrets.ts';
import { readServeConfig, type ServeConfig } from './local/serve-config.ts';
import { startProcess } from './local/start-process.ts';
import { type Supervised, supervise } from './local/supervise.ts';
import { tryRequest } from './local/try-request.ts';
import { INSTALLED } from './options/installed.ts';

const CLI = new URL('./main.ts', import.meta.url);
const EDGE = new URL('./local/edge-process.ts', import.meta.url);
const DEMO_POLICIES = new URL('../policies/demo/', import.meta.url);

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

const log = (message: string) => console.error(`plimsoll: ${message}`);

export function serveCommand(): Command {
  return new Command('serve')
    .description('run all of Plimsoll on this machine: backends, edge and demo tenants')
    .option('--port <n>', 'where the edge listens, in place of PORT; 0 takes any free port')
    .option('--provider <name>', 'what runs the model: cpu, webgpu, cuda or auto, in place of PLIMSOLL_PROVIDER')
    .addHelpText(
      'after',
      `
Settings come from the environment:
  PORT               where the edge listens (default 8787; 0 takes any free port)
  PLIMSOLL_BACKENDS  how many backends to run (default 1)
  PLIMSOLL_DATA      the folder of all local state (default .plimsoll in ${INSTALLED ? 'the current folder' : 'the checkout'})
  PLIMSOLL_BUNDLE    the bundle to serve (default models/demo)
  PLIMSOLL_PROVIDER  what runs the model: cpu, webgpu, cuda or auto (default cpu)
  PLIMSOLL_NAMES     more host names to answer to, comma-separated, besides 127.0.0.1, localhost and [::1]
docs/operations.md says more.`,
    )
    .action((options: { port?: string; provider?: string }) => serve(readServeConfig(process.env, options)));
}

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
  if (!existsSync(path.join(config.bundle, 'plimsoll.json'))) {
    throw new Error(`there is no bundle in ${config.bundle}; PLIMSOLL_BUNDLE names the folder of one`);
  }
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

  log(`loading ${shown(config.bundle)}${config.backends > 1 ? ` into ${config.backends} backends` : ''} ...`);
  const ports = await freePorts(config.backends);
  const backends = ports.map((port, index) =>
    stack.addBackend({ name: `backend-${index + 1}`, port, config, secrets }),
  );
  const urls = await Promise.all(backends);

  log('starting the edge ...');
  const url = await stack.addEdge({
    port: config.port,
    dataDir: path.join(config.dataDir, 'edge'),
    backends: urls,
    moreNames: config.moreNames,
    demoKeys: (await readDemoTenants()).map(({ key }) => key),
    directiveSecret: secrets.directiveSecret,
    receiptJwks: secrets.receiptJwks,
    operatorKeySha256: sha256(DEMO_OPERATOR_KEY),
  });
  const tenants = await seedDemoTenants(url, DEMO_OPERATOR_KEY);
  const model = await modelOf(urls[0]!);

  log('asking for a first token ...');
  await tryRequest(url, { key: tenants[0]!.key, model });
  console.log(`ready ${url}`);
  console.error(await hints(url, { model, tenants, dataDir: config.dataDir }));
}

/**
 * The running processes, and the order in which they stop: backends first, so that the edge can
 * pass on their last tokens.
 */
class Stack {
  readonly #stopBackends = new AbortController();
  readonly #stopEdge = new AbortController();
  readonly #backends: Supervised[] = [];
  #edge: Supervised | undefined;
  #lock: FolderLock | null = null;

  /** Locks the data folder. Returns false if another stack has locked it. */
  hold(dataDir: string): boolean {
    this.#lock = lockFolder(dataDir);
    return this.#lock !== null;
  }

  /** Resolves with the backend's URL once it answers. */
  async addBackend(options: { name: string; port: number; config: ServeConfig; secrets: Secrets }): Promise<string> {
    const { name, port, config, secrets } = options;
    const url = `http://127.0.0.1:${port}`;
    const { signal } = this.#stopBackends;
    const backend = supervise(name, {
      start: async () => {
        const running = await startProcess(CLI, {
          args: ['backend'],
          env: {
            PLIMSOLL_BUNDLE: config.bundle,
            PLIMSOLL_BACKEND_HOST: '127.0.0.1',
            PLIMSOLL_BACKEND_PORT: String(port),
            PLIMSOLL_BACKEND_ID: name,
            PLIMSOLL_BACKEND_NAMES: LOCAL_NAMES.join(','),
            PLIMSOLL_THREADS: config.threads,
            PLIMSOLL_PROVIDER: config.provider,
            PLIMSOLL_DIRECTIVE_SECRET: secrets.directiveSecret,
            PLIMSOLL_DRAW_SECRET: secrets.drawSecret,
            PLIMSOLL_RECEIPT_PRIVATE_JWK: JSON.stringify(secrets.receiptPrivateJwk),
          },
          stdout: 'pipe',
          ready: (child) => saysReady(child.stdout!),
          signal,
          graceMs: BACKEND_GRACE_MS,
        });
        log(`${name} is process ${running.pid}, with its metrics at ${url}/metrics`);
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

async function modelOf(url: string): Promise<string> {
  const answer = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(HEALTH_TIMEOUT_MS) });
  // The cast is safe: the answer comes from our own backend.
  return ((await answer.json()) as { model: string }).model;
}

const whenFired = (signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });

async function hints(
  url: string,
  { model, tenants, dataDir }: { model: string; tenants: readonly DemoTenant[]; dataDir: string },
): Promise<string> {
  const width = Math.max(...tenants.map(({ key }) => key.length));
  const keys = tenants.map(async ({ key, policy }) => {
    const { floor, budget } = Policy.parse(JSON.parse(await readFile(new URL(policy, DEMO_POLICIES), 'utf8')));
    return `    ${key.padEnd(width)}  floor ${floor}, ${budget === null ? 'no budget' : `budget ${budget} nats`}`;
  });
  return `
  Ask a question under one line, then under another:

    curl -N ${url}/v1/chat/completions -H 'Content-Type: application/json' \\
      -H 'Authorization: Bearer ${tenants[0]!.key}' \\
      -d '{"model":"${model}","stream":true,"messages":[{"role":"user","content":"How do I get rid of mould on a wall?"}]}'

  Keys:
${(await Promise.all(keys)).join('\n')}

  Local state is in ${shown(dataDir)}; Ctrl-C stops everything.
`;
}

/** The folder relative to the current one, if that is shorter. */
function shown(folder: string): string {
  const relative = path.relative(process.cwd(), folder);
  return relative !== '' && relative.length < folder.length ? relative : folder;
}
