/**
 * Installs the package that `npm pack` makes, in an empty folder far from the checkout, and uses
 * it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import { descendantsOf, stillRunning } from '../process-tree.ts';
import { client } from '../running-stack.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const PACKAGE = 'node_modules/plimsoll';

let folder: string;
/** Why npm could not install the package, if it could not. */
let unreachable: string | undefined;

/**
 * A new user's environment: its own home folder, and nothing that `npm test` has set. npm keeps its
 * cache, because otherwise each run would download 150 MB. It also keeps the user's settings, such
 * as the registry.
 */
function environment(): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(npm|PLIMSOLL)_/.test(name));
  const { npm_config_cache: cache = path.join(homedir(), '.npm'), npm_config_registry: registry } = process.env;
  return {
    ...Object.fromEntries(inherited),
    HOME: path.join(folder, 'home'),
    PORT: '0',
    PLIMSOLL_NO_PULL: '1',
    npm_config_cache: cache,
    npm_config_userconfig: path.join(homedir(), '.npmrc'),
    ...(registry !== undefined && { npm_config_registry: registry }),
  };
}

const start = (command: string, ...args: string[]): ChildProcess =>
  spawn(command, args, { cwd: path.join(folder, 'app'), env: environment(), stdio: ['ignore', 'pipe', 'pipe'] });

async function outcome(child: ChildProcess) {
  const output = { stdout: '', stderr: '' };
  child.stdout!.on('data', (chunk) => (output.stdout += chunk));
  child.stderr!.on('data', (chunk) => (output.stderr += chunk));
  const [code] = await once(child, 'close');
  return { code, ...output };
}

const plimsoll = (...args: string[]) => outcome(start('npx', 'plimsoll', ...args));

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'plimsoll-release-'));
  for (const name of ['app', 'home']) await mkdir(path.join(folder, name));
  const packed = await outcome(start('npm', 'pack', ROOT, '--pack-destination', folder, '--loglevel=error'));
  expect(packed).toMatchObject({ code: 0, stdout: `plimsoll-${manifest.version}.tgz\n` });
  const tarball = path.join(folder, `plimsoll-${manifest.version}.tgz`);
  // Without install scripts, as docs/operations.md recommends: onnxruntime-node's script would
  // download CUDA files from nuget.org.
  const flags = ['--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--fetch-retries=1'];
  const installed = await outcome(start('npm', 'install', tarball, ...flags));
  if (installed.code !== 0 && /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ENETUNREACH|ETIMEDOUT/.test(installed.stderr)) {
    unreachable = `npm cannot reach its registry: ${installed.stderr.trim().split('\n')[0]}`;
    return;
  }
  expect(installed.code, installed.stderr).toBe(0);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('the commands run, and commands that read files find them in the release', async ({ skip }) => {
  skip(unreachable !== undefined, unreachable);
  expect(await plimsoll('--version')).toMatchObject({ code: 0, stdout: `${manifest.version}\n` });
  expect((await plimsoll('--help')).stdout).toMatch(/^Usage: plimsoll /);
  for (const command of ['serve', 'backend', 'train', 'eval']) {
    expect(await plimsoll(command, '--help')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(`plimsoll ${command}`),
    });
  }
  const model = await plimsoll('model', 'check', `${PACKAGE}/models/demo`);
  expect(model).toMatchObject({ code: 0, stdout: expect.stringMatching(/^id +plimsoll-demo$/m) });
  const policy = await plimsoll('policy', 'check', `${PACKAGE}/policies/demo/strict.json`);
  expect(policy).toMatchObject({ code: 0, stdout: expect.stringContaining('is a valid policy') });
});

test('a backend without its secrets names the missing ones', async ({ skip }) => {
  skip(unreachable !== undefined, unreachable);
  const { code, stderr } = await plimsoll('backend');
  expect(code).toBe(1);
  expect(stderr).toContain('PLIMSOLL_DIRECTIVE_SECRET: is not set');
});

test('the study command says that a release does not include it', async ({ skip }) => {
  skip(unreachable !== undefined, unreachable);
  const { code, stderr } = await plimsoll('study', 'run', '--force');
  expect([code, stderr]).toEqual([1, 'plimsoll: study is not in a release; run it in a checkout of the repository\n']);
});

test('serve answers a request, keeps its state in the current folder and leaves nothing running', async ({ skip }) => {
  skip(unreachable !== undefined, unreachable);
  // We do not use npx, because a signal kills it before it can pass on the exit code.
  const child = start(process.execPath, `${PACKAGE}/cli/plimsoll.mjs`, 'serve');
  let log = '';
  child.stderr!.on('data', (chunk) => (log += chunk));
  const ended = once(child, 'close');
  const ready = once(createInterface({ input: child.stdout! }), 'line');
  const [line] = await Promise.race([ready, ended.then(() => [`it ended:\n${log}`])]);
  expect(line).toMatch(/^ready http:\/\/127\.0\.0\.1:\d+$/);
  const processes = descendantsOf(child.pid!);

  // The console is built from the release itself.
  const page = await (await fetch(`${line.replace('ready ', '')}/console`)).text();
  const [, script] = /src="(\/console\/app-\w+\.js)"/.exec(page) ?? [];
  expect((await fetch(`${line.replace('ready ', '')}${script}`)).status).toBe(200);

  const { choices } = await client(line.replace('ready ', '')).chat.completions.create({
    model: 'plimsoll-demo',
    messages: [{ role: 'user', content: 'How do I clean a pan?' }],
    max_tokens: 8,
  });
  expect(choices[0]!.message.content).toMatch(/\w/);
  expect(existsSync(path.join(folder, 'app/.plimsoll/secrets'))).toBe(true);
  expect(existsSync(path.join(folder, 'app', PACKAGE, '.plimsoll'))).toBe(false);

  child.kill('SIGTERM');
  expect((await ended)[0]).toBe(0);
  expect(stillRunning(processes)).toEqual([]);
});
