/** The processes that the check starts. All of them end with it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

const CLI = path.join(import.meta.dirname, '../..', 'cli', 'plimsoll.mjs');
const GRACE_MS = 30_000;
const POLL_MS = 500;

const running = new Set();

/** Starts a program. What it says is kept, and is in the error if it ends before it should. */
function start(command, args, env) {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (text) => {
      said = (said + text).slice(-20_000);
    });
  }
  const ended = new Promise((resolve) => {
    child.once('error', (error) => resolve(error.code === 'ENOENT' ? `there is no ${command}` : error.message));
    child.once('close', (code, signal) => resolve(code ?? signal));
  });
  const one = { child, ended, said: () => said };
  running.add(one);
  void ended.then(() => running.delete(one));
  return one;
}

export async function endAll() {
  await Promise.all(
    [...running].map(async ({ child, ended }) => {
      child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), GRACE_MS);
      await ended;
      clearTimeout(late);
    }),
  );
}

/** Runs one command of ours, and returns what it prints. Throws with that if it fails. */
export async function plimsoll(args, env = {}) {
  const { child, ended, said } = start(process.execPath, [CLI, ...args], env);
  let out = '';
  child.stdout.on('data', (text) => {
    out += text;
  });
  const code = await ended;
  if (code !== 0) throw new Error(`plimsoll ${args.slice(0, 2).join(' ')} ended with ${code}:\n${said()}`);
  return out.trim();
}

/** Resolves once the engine answers `GET /health` at `url`. */
export async function startEngine([command, ...args], { url, env, limitMs }) {
  console.log(`   ${command} ${args.join(' ')}`);
  const { ended, said } = start(command, args, env);
  const stop = new AbortController();
  const gone = ended.then((why) => {
    throw new Error(`${command} ended (${why}):\n${said()}`);
  });
  await Promise.race([isHealthy(url, limitMs, stop.signal), gone]).finally(() => stop.abort());
  gone.catch(() => {});
}

/** Resolves once `GET /health` at `url` is 200. */
export async function isHealthy(url, limitMs, signal = new AbortController().signal) {
  const until = Date.now() + limitMs;
  let why = '';
  while (Date.now() < until) {
    signal.throwIfAborted();
    try {
      const answer = await fetch(`${url}/health`, { signal: AbortSignal.any([signal, AbortSignal.timeout(10_000)]) });
      await answer.body?.cancel();
      if (answer.ok) return;
      why = `status ${answer.status}`;
    } catch (error) {
      why = error.cause?.message ?? error.message;
    }
    await sleep(POLL_MS);
  }
  throw new Error(`${url}/health did not answer with 200 in ${limitMs / 1000} s: ${why}`);
}

/** A gate node and an edge on this machine. Returns the edge's URL. */
export async function startStack({ bundle, engines, context, data, env }) {
  const { child, ended, said } = start(process.execPath, [CLI, 'serve', '--bundle', bundle, '--no-pull'], {
    ...env,
    ...{ PORT: '0', PLIMSOLL_BACKENDS: '1', PLIMSOLL_DATA: data },
    ...{ PLIMSOLL_ENGINES: engines, PLIMSOLL_CONTEXT: `${context}` },
  });
  const gone = ended.then((why) => {
    throw new Error(`plimsoll serve ended (${why}):\n${said()}`);
  });
  gone.catch(() => {});
  const ready = new Promise((resolve) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('ready ')) resolve(line.slice('ready '.length));
    });
  });
  return Promise.race([ready, gone]);
}

export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  return port;
}
