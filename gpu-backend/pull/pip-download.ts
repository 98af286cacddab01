/**
 * Fetches a Python package with pip, where Python is at hand. pip knows the user's index and proxy.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';

export type PipOptions = {
  /** The commands to try, until one of them is there. */
  pythons?: readonly string[];
  env?: NodeJS.ProcessEnv;
  /** Called a few times a second with the bytes that are there so far. */
  onBytes: (bytes: number) => void;
  signal?: AbortSignal | undefined;
};

const PYTHONS = process.platform === 'win32' ? ['python', 'py'] : ['python3', 'python'];
const LOOK_EVERY_MS = 250;
/**
 * Whether pip gets a process group of its own. `python3` may be a shell script that starts Python
 * (pyenv), and ending only the script would leave pip running.
 */
const GROUPS = process.platform !== 'win32';

/**
 * Downloads the wheel of `requirement` into the empty folder `work`, and returns its path. Runs no
 * code of the package. Throws an error that says in one line why pip could not. When `signal`
 * aborts, ends pip and throws the reason.
 */
export async function pipDownload(
  requirement: string,
  work: string,
  { pythons = PYTHONS, env = process.env, onBytes, signal }: PipOptions,
): Promise<string> {
  const pip = [
    '-m',
    'pip',
    'download',
    '--disable-pip-version-check',
    '--no-cache-dir',
    '--no-input',
    '--no-color',
    '--quiet',
  ];
  const patience = ['--retries=1', '--timeout=15'];
  // A source package would run its own code already while pip looks at it.
  const args = [...pip, ...patience, '--no-deps', '--only-binary=:all:', '--dest', work, requirement];
  const looking = setInterval(() => void sizeOfFolder(work).then(onBytes, () => {}), LOOK_EVERY_MS);
  try {
    for (const python of pythons) {
      // pip downloads into a temporary folder first, and there we see how far it is.
      const ended = await run(python, args, { ...env, TMPDIR: work, TEMP: work, TMP: work }, signal);
      if (ended === 'no such program') continue;
      if (ended.code !== 0) throw new Error(whyNot(ended.stderr));
      const wheel = (await readdir(work)).find((name) => name.endsWith('.whl'));
      if (wheel === undefined) throw new Error(`pip says that all is well, but ${work} holds no wheel`);
      return path.join(work, wheel);
    }
  } finally {
    clearInterval(looking);
  }
  throw new Error(`there is no Python here (${pythons.join(', ')})`);
}

type Ended = { code: number | null; stderr: string } | 'no such program';

async function run(
  command: string,
  args: string[],
  env: NodeJS.ProcessEnv,
  signal: AbortSignal | undefined,
): Promise<Ended> {
  signal?.throwIfAborted();
  const child = spawn(command, args, { env, stdio: ['ignore', 'ignore', 'pipe'], detached: GROUPS });
  const stop = () => {
    if (child.pid === undefined) return;
    try {
      process.kill(GROUPS ? -child.pid : child.pid);
    } catch {
      // It has ended by itself.
    }
  };
  signal?.addEventListener('abort', stop);
  try {
    const [stderr, [code]] = await Promise.all([endOf(child.stderr), once(child, 'close')]);
    signal?.throwIfAborted();
    return { code, stderr };
  } catch (error) {
    // What spawn says of a program that is not there. No other error here has this code.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'no such program';
    throw error;
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

/** The last of what a program says, however much it says. */
async function endOf(stream: Readable): Promise<string> {
  let end = '';
  // With an encoding, a stream gives strings.
  for await (const part of stream.setEncoding('utf8') as AsyncIterable<string>) end = (end + part).slice(-MOST_SAID);
  return end;
}
const MOST_SAID = 65_536;

/** pip's last line. Offline, that line says that no such package exists. */
function whyNot(stderr: string): string {
  if (/connection broken by|NewConnectionError|ConnectTimeoutError|ProxyError|Max retries exceeded/.test(stderr)) {
    return 'pip cannot reach its package index';
  }
  const last = stderr.trim().split('\n').at(-1);
  return `pip says: ${last?.replace(/^ERROR: /, '') || 'nothing'}`;
}

async function sizeOfFolder(dir: string): Promise<number> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
  const sizes = await Promise.all(
    files.map((file) =>
      stat(file).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
