/** Runs the command line as a user sees it, each time in a process of its own. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { text as textOf } from 'node:stream/consumers';

export type Running = ChildProcessByStdio<null, Readable, Readable>;
export type Ended = { code: number | null; stdout: string; stderr: string };

type Options = {
  /** The current folder. */
  cwd: string;
  /** Besides these variables, it sees only PATH. */
  env?: Readonly<Record<string, string>>;
  /** The root of another checkout or release to run. */
  root?: string;
};

const ROOT = path.join(import.meta.dirname, '../..');

export function startPlimsoll(args: readonly string[], { cwd, env = {}, root = ROOT }: Options): Running {
  return spawn(process.execPath, [path.join(root, 'cli/main.ts'), ...args], {
    cwd,
    env: { PATH: process.env.PATH, NODE_OPTIONS: '--disable-warning=ExperimentalWarning', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** Resolves when the process has ended. `code` is null if a signal ended it. */
export async function ended(child: Running): Promise<Ended> {
  const [stdout, stderr, [code]] = await Promise.all([
    textOf(child.stdout),
    textOf(child.stderr),
    once(child, 'close'),
  ]);
  return { code, stdout, stderr };
}

export const runPlimsoll = (args: readonly string[], options: Options): Promise<Ended> =>
  ended(startPlimsoll(args, options));
