import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { readServeConfig } from './serve-config.ts';
import { startProcess } from './start-process.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'plimsoll-process-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function program(name: string, text: string): Promise<URL> {
  const file = path.join(folder, `${name}.mjs`);
  await writeFile(file, text);
  return pathToFileURL(file);
}

const said = (child: { stdout: NodeJS.ReadableStream | null }) => once(child.stdout!, 'data');
const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

test('asks a process to end, and kills one that does not', async () => {
  const polite = await program(
    'polite',
    'process.on("SIGTERM", () => process.exit(5)); setInterval(() => {}, 9); console.log(1)',
  );
  const deaf = await program('deaf', 'process.on("SIGTERM", () => {}); setInterval(() => {}, 9); console.log(1)');
  const stop = new AbortController();
  const options = { ready: said, signal: stop.signal, graceMs: 200, stdout: 'pipe' } as const;
  const processes = await Promise.all([startProcess(polite, options), startProcess(deaf, options)]);
  stop.abort();
  expect(await Promise.all(processes.map(({ ended }) => ended))).toEqual(['code 5', 'signal SIGKILL']);
});

test('an empty option of serve keeps its variable from the process that it starts', async () => {
  onTestFinished(() => void vi.unstubAllEnvs());
  const set = {
    PLIMSOLL_KV_BYTES: '1000',
    PLIMSOLL_PREFIX_CACHE: '2000',
    PLIMSOLL_PUBLIC_PREFIXES: 'shared.json',
    PLIMSOLL_SPECULATION: 'on',
  };
  for (const [name, value] of Object.entries(set)) vi.stubEnv(name, value);
  const shows = await program(
    'shows',
    `console.log(JSON.stringify(${JSON.stringify(Object.keys(set))}.map((name) => process.env[name])));
     setInterval(() => {}, 9);`,
  );
  let seen: unknown;
  const running = await startProcess(shows, {
    env: readServeConfig(process.env, { kvBytes: '', prefixCache: '', publicPrefixes: '' }).variables,
    ready: async (child) => {
      seen = JSON.parse(String((await said(child))[0]));
    },
    signal: new AbortController().signal,
    graceMs: 200,
    stdout: 'pipe',
  });
  running.kill();
  await running.ended;
  expect(seen).toEqual(['', '', '', 'on']);
});

test('a process that ends before it is ready is an error', async () => {
  const options = { ready: said, signal: new AbortController().signal, graceMs: 200, stdout: 'pipe' } as const;
  await expect(startProcess(await program('brief', 'process.exit(4)'), options)).rejects.toThrow(
    'it ended with code 4 before it was ready',
  );
});

test('when a process ends in any way, the processes it started end too', async () => {
  const parent = await program(
    'parent',
    `import { spawn } from 'node:child_process';
     const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 9)'], { stdio: 'ignore' });
     console.log(child.pid);`,
  );
  let grandchild = 0;
  const running = await startProcess(parent, {
    ready: async (child) => {
      grandchild = Number(String((await said(child))[0]));
    },
    signal: new AbortController().signal,
    graceMs: 200,
    stdout: 'pipe',
  });
  expect(isAlive(grandchild)).toBe(true);
  running.kill();
  await running.ended;
  await expect.poll(() => isRunning(grandchild)).toBe(false);
});

test('when this process is killed, the processes it started end by themselves', async () => {
  const child = await program(
    'child',
    'process.on("SIGTERM", () => process.exit(0)); setInterval(() => {}, 9); console.log(process.pid)',
  );
  const start = await program(
    'start',
    `import { startProcess } from ${JSON.stringify(new URL('./start-process.ts', import.meta.url).href)};
     await startProcess(new URL(${JSON.stringify(child.href)}), {
       ready: async (child) => process.stdout.write((await import('node:events').then(({ once }) => once(child.stdout, 'data')))[0]),
       signal: new AbortController().signal, graceMs: 200, stdout: 'pipe' });`,
  );
  const supervisor = spawn(process.execPath, [start.pathname], { stdio: ['ignore', 'pipe', 'inherit'] });
  const pid = Number(String((await said(supervisor))[0]));
  expect(isAlive(pid)).toBe(true);
  supervisor.kill('SIGKILL');
  await expect.poll(() => isRunning(pid)).toBe(false);
});

/**
 * To `kill`, a process that has ended still exists until its parent reads its exit code. /proc can
 * tell the difference, on systems that have it.
 */
async function isRunning(pid: number): Promise<boolean> {
  if (!isAlive(pid)) return false;
  if (process.platform !== 'linux') return true;
  const { readFile } = await import('node:fs/promises');
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') Z');
  return !/\) Z/.test(stat);
}
