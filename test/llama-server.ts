/**
 * llama.cpp's own server for tests and benchmarks, in a process of its own. It comes out of the
 * Python package xllamacpp, whose wheel has llama.cpp's server (tools/server) compiled and links it
 * into Python: the same routes, slots and caches as `llama-server`, without a build that takes an
 * hour. pip fetches it once (34 MB), and it is kept in `.plimsoll/llama-server`.
 *
 * `PLIMSOLL_LLAMA_SERVER` names a program of your own instead, such as /usr/bin/llama-server.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { checksumOf, hexOf, WrongBytes } from '#gpu-backend/model/checksum.ts';
import { pipDownload } from '#gpu-backend/pull/pip-download.ts';

/** Its last number is llama.cpp's build, b11549. */
const VERSION = '2026.10.11549';
/** SHA-256 of the wheels, by platform and architecture. */
const WHEELS: Readonly<Record<string, string>> = {
  'linux-x64': 'c54e7d13520ecc989c63dc99d55de3065e2f343a91f43f053d16b5e62077c261',
  'linux-arm64': 'e2a3e79e775515de4ad197e667f874070446ef9ac9cf2044bc9866bc4c72289e',
};

const CACHE = path.join(import.meta.dirname, '../.plimsoll/llama-server');
const PACKAGES = path.join(CACHE, VERSION);
const PROGRAM = path.join(import.meta.dirname, 'clients/llama-server/serve.py');
const OWN = process.env.PLIMSOLL_LLAMA_SERVER;

const run = promisify(execFile);
const pythonEnv = { ...process.env, PYTHONPATH: PACKAGES };

export type LlamaServerOptions = {
  /** A GGUF file. */
  model: string;
  /** GGUF files of adapters. All are applied unless `unapplied` is set. */
  lora?: readonly string[];
  /** Adapters wait until a request names them. */
  unapplied?: boolean;
  /** In tokens, of each slot. */
  contextSize?: number;
  /** How many requests run at once: slots. */
  parallel?: number;
  threads?: number;
  /** How much memory it may take for prompts of other requests, in MiB. Its own default is 8192. */
  cacheRam?: number;
  /** Keys and values stay f32, and attention uses the plain kernels. */
  exact?: boolean;
  /** 0: a free one. */
  port?: number;
};

/**
 * Fetches the server if it is not here yet. Returns why this machine cannot have it, if it cannot.
 */
export async function installLlamaServer(): Promise<string | undefined> {
  if (OWN !== undefined) return undefined;
  const wanted = WHEELS[`${process.platform}-${process.arch}`];
  if (wanted === undefined) return `${process.platform}-${process.arch} has no wheel of xllamacpp here`;
  const isThere = await stat(PACKAGES).catch(() => null);
  if (isThere === null) {
    const problem = await fetchPackage(wanted);
    if (problem !== undefined) return problem;
  }
  return run('python3', ['-c', 'import xllamacpp'], { env: pythonEnv }).then(
    () => undefined,
    (cause: Error) => `Python cannot load xllamacpp: ${cause.message.trim().split('\n').at(-1)}`,
  );
}

async function fetchPackage(wanted: string): Promise<string | undefined> {
  await mkdir(CACHE, { recursive: true });
  const work = await mkdtemp(path.join(CACHE, 'fetching-'));
  try {
    const download = pipDownload(`xllamacpp==${VERSION}`, work, { onBytes: () => {} });
    const wheel = await download.catch((error: Error) => error);
    if (wheel instanceof Error) return wheel.message;
    const found = hexOf(await checksumOf(wheel, { sha256: wanted }));
    if (found !== wanted) throw new WrongBytes(`${wheel}: found SHA-256 ${found}, wanted ${wanted}`);
    const unpacked = path.join(work, 'unpacked');
    await run('python3', ['-m', 'zipfile', '-e', wheel, unpacked]);
    // Another process may have been faster.
    await rename(unpacked, PACKAGES).catch(async (cause: unknown) => {
      if ((await stat(PACKAGES).catch(() => null)) === null) throw cause;
    });
    return undefined;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Call `installLlamaServer` before, and `close` at the end. */
export class LlamaServer {
  readonly url: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.url = url;
  }

  /** A server that answers. Throws an Error with its last words if it does not come up. */
  static async start(options: LlamaServerOptions): Promise<LlamaServer> {
    const settings = { ...DEFAULTS, ...options };
    const child = OWN === undefined ? startPython(settings) : await startOwn(OWN, settings);
    let said = '';
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-MOST_SAID);
    });
    const ended = once(child, 'exit').then(([code, signal]) => {
      throw new Error(`llama.cpp's server ended with ${signal ?? code}, saying\n${said}`);
    });
    // Nobody waits for it once the server is up.
    ended.catch(() => {});
    const url = OWN === undefined ? await Promise.race([printedUrl(child), ended]) : urlOf(settings);
    await Promise.race([healthy(url), ended]);
    return new LlamaServer(child, url);
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Ends it as a crash would. */
  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }
}

type Settings = Required<LlamaServerOptions>;

const DEFAULTS = {
  lora: [],
  unapplied: false,
  contextSize: 512,
  parallel: 4,
  threads: 1,
  cacheRam: 0,
  exact: false,
  port: 0,
} as const satisfies Omit<Settings, 'model'>;
const MOST_SAID = 65_536;
const POLL_MS = 100;

const startPython = (settings: Settings) =>
  spawn('python3', [PROGRAM, JSON.stringify(settings)], { env: pythonEnv, stdio: ['pipe', 'pipe', 'pipe'] });

/** The same settings as flags of `llama-server`. */
async function startOwn(program: string, settings: Settings): Promise<ChildProcess> {
  if (settings.port === 0) settings.port = await freePort();
  const { model, lora, unapplied, contextSize, parallel, threads, cacheRam, exact, port } = settings;
  const flags = [
    ...['--model', model, '--port', `${port}`, '--host', '127.0.0.1', '--no-warmup', '--log-verbosity', '1'],
    ...['--ctx-size', `${contextSize * parallel}`, '--parallel', `${parallel}`, '--cache-ram', `${cacheRam}`],
    ...['--threads', `${threads}`, '--threads-batch', `${threads}`],
    ...lora.flatMap((file) => ['--lora', file]),
    ...(unapplied ? ['--lora-init-without-apply'] : []),
    ...(exact ? ['--cache-type-k', 'f32', '--cache-type-v', 'f32', '--flash-attn', 'off'] : []),
  ];
  return spawn(program, flags, { stdio: ['ignore', 'ignore', 'pipe'] });
}

const urlOf = ({ port }: Settings) => `http://127.0.0.1:${port}`;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  // A server that listens on a port has an address with one.
  const { port } = server.address() as { port: number };
  server.close();
  return port;
}

async function printedUrl(child: ChildProcess): Promise<string> {
  for await (const line of createInterface({ input: child.stdout! })) {
    // llama.cpp prints lines of its own.
    if (line.startsWith('{"url"')) return (JSON.parse(line) as { url: string }).url;
  }
  return new Promise<never>(() => {});
}

async function healthy(url: string): Promise<void> {
  for (;;) {
    const answer = await fetch(`${url}/health`).catch(() => null);
    await answer?.body?.cancel();
    if (answer?.ok) return;
    await sleep(POLL_MS);
  }
}
