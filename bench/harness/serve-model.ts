/** One model in one process, ours or llama.cpp's, to be measured from outside. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import {
  allFrames,
  call,
  DRAW_SECRET,
  generateRequest,
  receiptKeys,
  SECRET,
} from '#gpu-backend/server/testing/backend-client.ts';
import { LlamaCpp } from '../../test/llama-cpp.ts';
import { type LiveMemory, liveMemoryOf, REPORTS_LIVE_MEMORY } from './live-memory.ts';

const MAIN = path.join(import.meta.dirname, '../../cli/main.ts');

export type Served = {
  pid: number;
  /** From the start of the process until it can answer. */
  readyMs: number;
  close(): Promise<void>;
};

export type ServedBackend = Served & {
  /** Two rows: the safety expert and the helpfulness expert. */
  answer(content: string, tokens: number): Promise<void>;
  /** Where it listens. */
  url: string;
  /** How much of its memory is alive. Throws unless it was started to report that. */
  liveMemory(): Promise<LiveMemory>;
};

/**
 * `plimsoll backend`, as a deployment runs it. `context`: the most tokens of prompt and answer.
 * `quiet`: its log is thrown away. `prefixBytes`: memory for kept prefixes. By default it keeps
 * none, so that a prompt that comes again is read again. `speculation`: it may read ahead where a
 * text repeats itself. `reportsMemory`: it can be asked for its live memory.
 * `env`: more settings, by variable.
 */
export async function serveBackend(
  bundle: string,
  {
    model,
    context,
    quiet = false,
    prefixBytes = 0,
    speculation = true,
    reportsMemory = false,
    env = {},
  }: {
    model: string;
    context: number;
    quiet?: boolean;
    prefixBytes?: number;
    speculation?: boolean;
    reportsMemory?: boolean;
    env?: Readonly<Record<string, string>>;
  },
): Promise<ServedBackend> {
  const { receiptPrivateJwk } = await receiptKeys();
  const began = performance.now();
  const sizes = ['--context', String(context), '--prefix-cache', String(prefixBytes)];
  const args = ['backend', '--bundle', bundle, '--port', '0', ...sizes, ...(speculation ? [] : ['--no-speculation'])];
  const child = spawn(process.execPath, [...(reportsMemory ? REPORTS_LIVE_MEMORY : []), MAIN, ...args], {
    env: {
      ...process.env,
      PLIMSOLL_DIRECTIVE_SECRET: SECRET,
      PLIMSOLL_DRAW_SECRET: DRAW_SECRET,
      PLIMSOLL_RECEIPT_PRIVATE_JWK: JSON.stringify(receiptPrivateJwk),
      ...env,
    },
    stdio: ['ignore', 'pipe', quiet ? 'ignore' : 'inherit', ...(reportsMemory ? (['ipc'] as const) : [])],
  });
  const url = await readyUrl(child);
  const readyMs = performance.now() - began;
  return {
    pid: child.pid!,
    readyMs,
    url,
    async answer(content, tokens) {
      const messages = [{ role: 'user' as const, content }];
      const response = await call(url, generateRequest({ model, messages, max_tokens: tokens, temperature: 0 }));
      if (!response.ok) throw new Error(`the backend refused with ${response.status}: ${await response.text()}`);
      const end = (await allFrames(response)).at(-1);
      if (end?.type !== 'end') throw new Error(`the answer ended with ${JSON.stringify(end)}`);
    },
    liveMemory: () => liveMemoryOf(child),
    close: () => kill(child),
  };
}

/** llama.cpp with one model. It is ready once the model is loaded. */
export async function serveLlamaCpp(
  file: string,
  { contextSize }: { contextSize: number },
): Promise<Served & { llama: LlamaCpp }> {
  const began = performance.now();
  const llama = await LlamaCpp.open({ file, contextSize });
  return { pid: llama.pid, readyMs: performance.now() - began, llama, close: () => llama.close() };
}

async function readyUrl(child: ChildProcess): Promise<string> {
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`the backend ended with ${code} before it was ready`);
  });
  const ready = new Promise<string>((resolve) => {
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const [, url] = /^ready (\S+)$/.exec(line) ?? [];
      if (url !== undefined) resolve(url);
    });
  });
  return Promise.race([ready, ended]);
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}
