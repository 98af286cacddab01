/**
 * The two gateways that the edge is compared with. Each is installed once into a folder of its own
 * under `.plimsoll/bench-gateways`, at an exact version, and runs as a process of its own. One that
 * cannot be had here (no network, no Python) is left out, and the bench says so.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';

const run = promisify(execFile);
const FOLDER = path.join(import.meta.dirname, '../../.plimsoll/bench-gateways');
/** With later versions of its HTTP server, which it does not pin, its streamed answers fail. */
const PORTKEY = {
  private: true,
  dependencies: { '@portkey-ai/gateway': '1.15.2' },
  overrides: { '@hono/node-server': '1.12.2' },
};
/** Its later versions, such as 1.110.2, ask for packages that PyPI does not have. */
const LITELLM = 'litellm[proxy]==1.90.7';
/** LiteLLM brings a hundred packages, which took ten minutes over a slow network. */
const INSTALL_MS = 1_800_000;
/** LiteLLM imports for half a minute on a slow machine. */
const START_MS = 180_000;
export const MODEL = 'bench';

export type Gateway = {
  name: string;
  /** The whole URL of its chat completions. */
  url: string;
  /** What it needs to know where to send a request. */
  headers: Record<string, string>;
  /** Whether its streamed answers come. If not, only whole ones are measured. */
  streams: boolean;
  close(): Promise<void>;
};

/**
 * Starts those that can be had, in front of an OpenAI-compatible server, and says why another is
 * missing.
 *
 * @param upstream its URL, with `/v1`
 */
export async function startGateways(upstream: string): Promise<Gateway[]> {
  const started: Gateway[] = [];
  for (const [name, start] of Object.entries({ 'Portkey gateway': startPortkey, 'LiteLLM proxy': startLitellm })) {
    try {
      started.push(await start(name, upstream));
    } catch (cause) {
      console.log(`  ${name}: left out, because it cannot be had here (${reasonOf(cause)})`);
    }
  }
  return started;
}

/** Of a command that failed, what it said last. */
function reasonOf(cause: unknown): string {
  const said = cause instanceof Error && 'stderr' in cause ? String(cause.stderr).trim() : '';
  return said.split('\n').at(-1) || (String(cause).split('\n')[0] ?? '');
}

async function startPortkey(name: string, upstream: string): Promise<Gateway> {
  const folder = path.join(FOLDER, 'portkey');
  const program = path.join(folder, 'node_modules/@portkey-ai/gateway/build/start-server.js');
  if (!existsSync(program)) {
    makeFolder(folder);
    await writeFile(path.join(folder, 'package.json'), JSON.stringify(PORTKEY));
    const options = ['--ignore-scripts', '--no-audit', '--no-fund'];
    await run('npm', ['install', ...options], { cwd: folder, timeout: INSTALL_MS });
  }
  const port = await freePort();
  const child = spawn(process.execPath, [program, `--port=${port}`, '--headless'], { stdio: 'ignore' });
  const headers = { 'x-portkey-provider': 'openai', 'x-portkey-custom-host': upstream };
  return ready(child, { name, headers, url: `http://127.0.0.1:${port}/v1/chat/completions` });
}

async function startLitellm(name: string, upstream: string): Promise<Gateway> {
  const folder = path.join(FOLDER, 'litellm');
  const program = path.join(folder, 'bin/litellm');
  if (!existsSync(program)) {
    makeFolder(FOLDER);
    await run('python3', ['-m', 'venv', folder], { timeout: INSTALL_MS });
    // Nothing is built here: a package runs code of its own while it is built.
    const install = ['install', '--quiet', '--disable-pip-version-check', '--only-binary', ':all:', LITELLM];
    // A half installed one must not be taken for a whole one.
    await run(path.join(folder, 'bin/pip'), install, { timeout: INSTALL_MS }).catch(async (error: unknown) => {
      await rm(folder, { recursive: true, force: true });
      throw error;
    });
  }
  const port = await freePort();
  const config = await mkdtemp(path.join(tmpdir(), 'plimsoll-litellm-'));
  const params = { model: `openai/${MODEL}`, api_base: upstream, api_key: 'none' };
  // JSON is YAML.
  const document = {
    model_list: [{ model_name: MODEL, litellm_params: params }],
    litellm_settings: { telemetry: false },
  };
  await writeFile(path.join(config, 'config.yaml'), JSON.stringify(document));
  const args = ['--config', path.join(config, 'config.yaml'), '--host', '127.0.0.1', '--port', String(port)];
  const env = { ...process.env, LITELLM_LOG: 'ERROR', LITELLM_LOCAL_MODEL_COST_MAP: 'True', NO_DOCS: 'True' };
  const child = spawn(program, args, { stdio: 'ignore', env });
  const gateway = await ready(child, { name, headers: {}, url: `http://127.0.0.1:${port}/v1/chat/completions` });
  return {
    ...gateway,
    async close() {
      await gateway.close();
      await rm(config, { recursive: true, force: true });
    },
  };
}

/** Waits until it answers a request, and ends it if it never does. */
async function ready(child: ChildProcess, about: Omit<Gateway, 'close' | 'streams'>): Promise<Gateway> {
  let failure: unknown = null;
  child.once('error', (error) => (failure = error));
  const close = async () => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  };
  const deadline = performance.now() + START_MS;
  while (performance.now() < deadline && child.exitCode === null && failure === null) {
    if (await answers(about, false)) {
      const streams = await answers(about, true);
      if (!streams) console.log(`  ${about.name}: its streamed answers fail here, so only whole ones are measured`);
      return { ...about, streams, close };
    }
    await sleep(500);
  }
  await close();
  throw failure ?? new Error(`it did not answer within ${START_MS / 1000} s`);
}

async function answers({ url, headers }: Pick<Gateway, 'url' | 'headers'>, stream: boolean): Promise<boolean> {
  const init = {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer none', ...headers },
    body: JSON.stringify({ model: MODEL, messages: [{ role: 'user', content: 'Hi' }], stream }),
  };
  const answer = await fetch(url, init).catch(() => null);
  await answer?.arrayBuffer();
  return answer?.ok === true;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('found no free port');
  return address.port;
}
