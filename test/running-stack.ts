/** Starts the stack as a user does: with one command, on its own port and an empty data folder. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import OpenAI from 'openai';

const ROOT = path.join(import.meta.dirname, '..');

export const KEYS = ['pk-demo-strict', 'pk-demo-balanced', 'pk-demo-open'] as const;
export type Key = (typeof KEYS)[number];

type Backend = { pid: number; url: string; model: string };

export type RunningStack = {
  url: string;
  /** The model that the stack serves. */
  model: string;
  dataDir: string;
  process: ChildProcess;
  /** Newest first. A backend that was restarted is listed again. */
  backends(): Backend[];
  /** Everything that the stack wrote to stderr. */
  log(): string;
  /** Stops the stack with `signal` and resolves with the exit code. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
};

export type StackOptions = { dataDir?: string; env?: Readonly<Record<string, string>> };

const ONLY_DEMO = { PLIMSOLL_NO_PULL: '1', PLIMSOLL_CACHE: path.join(ROOT, '.plimsoll/no-models') };

/**
 * Only starts the process. The stack may still fail to start, and nothing reads its stdout yet.
 * Unless `env` says otherwise, it serves only the demo, even if this machine has or can get others.
 */
export function spawnStack(dataDir: string, env: Readonly<Record<string, string>> = {}): ChildProcess {
  return spawn(process.execPath, [path.join(ROOT, 'scripts/launch.mjs'), 'cli/main.ts', 'serve'], {
    cwd: ROOT,
    env: { ...process.env, ...ONLY_DEMO, PORT: '0', PLIMSOLL_BACKENDS: '1', PLIMSOLL_DATA: dataDir, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/**
 * A stack makes its draw secret at its first start, and all its answers depend on it. A stack
 * without a given `dataDir` gets this fixed secret, so that its answers are the same each time.
 */
const DRAW_SECRET = 'the draw secret of tests, which is not secret';

async function withDrawSecret(dataDir: string): Promise<string> {
  const file = path.join(dataDir, 'secrets/draw-secret');
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, JSON.stringify(DRAW_SECRET));
  return dataDir;
}

export async function startStack({ dataDir, env }: StackOptions = {}): Promise<RunningStack> {
  const folder = dataDir ?? (await withDrawSecret(await newDataDir()));
  const child = spawnStack(folder, env);
  const ended = once(child, 'close') as Promise<[number | null]>;
  let log = '';
  child.stderr!.on('data', (chunk: Buffer) => {
    log += chunk;
  });
  const lines: string[] = [];
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout! }).on('line', (line) => {
      lines.push(line);
      const [, ready] = line.match(/^ready (http:\/\/127\.0\.0\.1:\d+)$/) ?? [];
      if (ready !== undefined) resolve(ready);
    });
    void ended.then(async ([code]) => {
      if (dataDir === undefined) await rm(folder, { recursive: true, force: true });
      reject(new Error(`it ended with code ${code}, saying\n${log}`));
    });
  });
  if (lines.length !== 1) throw new Error(`stdout has more than the ready line: ${lines.join('\n')}`);
  const { data: models } = await client(url).models.list();
  return {
    url,
    model: models[0]!.id,
    dataDir: folder,
    process: child,
    backends: () =>
      [...log.matchAll(/backend-\d+ is process (\d+), with its metrics at (\S+)\/metrics, and serves (\S+)/g)]
        .map(([, pid, backendUrl, model]) => ({ pid: Number(pid), url: backendUrl!, model: model! }))
        .reverse(),
    log: () => log,
    async stop(signal = 'SIGTERM') {
      child.kill(signal);
      const [code] = await ended;
      if (dataDir === undefined) await rm(folder, { recursive: true, force: true });
      return code;
    },
  };
}

export const newDataDir = () => mkdtemp(path.join(tmpdir(), 'plimsoll-data-'));

/** OpenAI's unmodified client, without retries, because a test must see every answer. */
export function client(url: string, apiKey: string = 'pk-demo-balanced'): OpenAI {
  return new OpenAI({ apiKey, baseURL: `${url}/v1`, maxRetries: 0 });
}

/**
 * Sends a request without OpenAI's client, for things that the client would not send or would hide.
 */
export function post(url: string, body: unknown, { key = 'pk-demo-balanced' as string } = {}): Promise<Response> {
  return fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
}
