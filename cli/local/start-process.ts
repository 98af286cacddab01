/** Starts a Node process that ends when this one does, and leaves nothing behind. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const EXIT_WITH_PARENT = new URL('./exit-with-parent.ts', import.meta.url).href;

export type Running = {
  pid: number;
  /** Resolves once the process is gone. The value says how it ended: `code 1`, `signal SIGKILL`. */
  ended: Promise<string>;
  /** Kills the process at once, together with everything it has started. */
  kill(): void;
};

export type StartOptions = {
  /** Resolves when the process is ready. */
  ready: (child: ChildProcess) => Promise<unknown>;
  /** When it fires, the process gets SIGTERM, and SIGKILL if it still runs after `graceMs`. */
  signal: AbortSignal;
  graceMs: number;
  /** The program's own arguments. */
  args?: readonly string[];
  /** Added to this process's environment. */
  env?: Readonly<Record<string, string>>;
  /** `pipe`: `ready` reads it. `stderr`: it goes to our stderr. */
  stdout?: 'pipe' | 'stderr';
};

/** Resolves when the process is ready. If it rejects, the process is gone. */
export async function startProcess(
  file: URL,
  { ready, signal, graceMs, args = [], env = {}, stdout = 'stderr' }: StartOptions,
): Promise<Running> {
  signal.throwIfAborted();
  const child = spawn(
    process.execPath,
    [...process.execArgv, '--import', EXIT_WITH_PARENT, fileURLToPath(file), ...args],
    {
      env: { ...process.env, ...env },
      stdio: ['ignore', stdout === 'pipe' ? 'pipe' : 2, 'inherit', 'ipc'],
      // The process gets its own group, for two reasons. Ctrl-C reaches only `serve`, which then
      // stops things in order. And we can kill what the process has started (workerd) along with
      // it.
      detached: process.platform !== 'win32',
    },
  );
  const kill = () => {
    if (child.pid === undefined) return;
    try {
      process.kill(process.platform === 'win32' ? child.pid : -child.pid, 'SIGKILL');
    } catch {
      // The group is empty already.
    }
  };
  let lastResort: NodeJS.Timeout | undefined;
  const stop = () => {
    child.kill('SIGTERM');
    lastResort = setTimeout(kill, graceMs);
  };
  signal.addEventListener('abort', stop, { once: true });
  const ended = new Promise<string>((resolve) => {
    const end = (how: string) => {
      signal.removeEventListener('abort', stop);
      clearTimeout(lastResort);
      kill();
      resolve(how);
    };
    child.once('error', (error) => end(error.message));
    child.once('exit', (code, by) => end(by === null ? `code ${code}` : `signal ${by}`));
  });

  const early = ended.then((how) => {
    throw new Error(`it ended with ${how} before it was ready`);
  });
  try {
    await Promise.race([ready(child), early]);
  } catch (error) {
    kill();
    await ended;
    throw error;
  }
  early.catch(() => undefined);
  // It was ready, so it has a pid.
  return { pid: child.pid!, ended, kill };
}
