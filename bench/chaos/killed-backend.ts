/** Backends in processes of their own. Each is killed without notice, and started again. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { ReceiptPrivateJwk } from '#gpu-backend/server/config.ts';

export type BackendSettings = {
  /** 0 takes any free port. */
  port: number;
  backendId: string;
  /** How long each run takes. */
  stepMs: number;
  directiveSecret: string;
  drawSecret: string;
  receiptPrivateJwk: ReceiptPrivateJwk;
};

const PROGRAM = fileURLToPath(new URL('./backend-program.ts', import.meta.url));

export class KilledBackend {
  readonly #settings: BackendSettings;
  #child: ChildProcess | null = null;
  url = '';
  /** Whether it listens. */
  isUp = false;

  constructor(settings: BackendSettings) {
    this.#settings = { ...settings };
  }

  /** Resolves once it listens, from the second time on under the same address. */
  async start(): Promise<void> {
    const child = spawn(process.execPath, [PROGRAM, JSON.stringify(this.#settings)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#child = child;
    const ready = Promise.withResolvers<string>();
    createInterface({ input: child.stdout! }).on('line', (line) => {
      if (line.startsWith('ready ')) ready.resolve(line.slice('ready '.length));
    });
    child.once('exit', (code, signal) => ready.reject(new Error(`the backend ended with ${signal ?? code}`)));
    this.url = await ready.promise;
    this.#settings.port = Number(new URL(this.url).port);
    this.isUp = true;
  }

  /** SIGKILL. Resolves once the process is gone. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.isUp = false;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }
}
