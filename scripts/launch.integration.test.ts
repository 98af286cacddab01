/**
 * Tests the launcher in a temporary checkout. A shell script that each test defines stands in for
 * npm.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const NATIVE = {
  'node_modules/native': { version: '4.5.6', integrity: 'sha512-n', optional: true, os: [process.platform] },
};
const FOREIGN = { 'node_modules/foreign': { version: '7.8.9', integrity: 'sha512-f', optional: true, os: ['none'] } };
const LIBRARY = { 'node_modules/library': { version: '1.2.3', integrity: 'sha512-l' } };
const LOCKED = { ...LIBRARY, ...NATIVE, ...FOREIGN };

let checkout: string;
beforeEach(async () => {
  checkout = await mkdtemp(path.join(tmpdir(), 'plimsoll-launch-'));
  await mkdir(path.join(checkout, 'scripts'));
  await mkdir(path.join(checkout, 'bin'));
  for (const name of ['launch.mjs', 'install.mjs']) {
    await copyFile(path.join(import.meta.dirname, name), path.join(checkout, 'scripts', name));
  }
  await put('package.json', '{"type":"module"}');
  await lock(LOCKED);
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is a program.
  await put('hello.ts', 'const who: string = process.argv[2]!;\nconsole.log(`hello ${who}`);\nprocess.exitCode = 3;\n');
  await npmThat(installs({ ...LIBRARY, ...NATIVE }));
});
afterEach(() => rm(checkout, { recursive: true, force: true }));

const put = (name: string, text: string) => writeFile(path.join(checkout, name), text);
const lock = (packages: object) => put('package-lock.json', JSON.stringify({ packages: { '': {}, ...packages } }));

async function npmThat(does: string): Promise<void> {
  const file = path.join(checkout, 'bin/npm');
  await writeFile(file, `#!/bin/sh\necho "$*" >> "${checkout}/npm-calls"\n${does}\n`);
  await chmod(file, 0o755);
}

/** Writes npm's own record of what is installed, as npm would. */
const installs = (packages: object) =>
  `sleep 0.3; mkdir -p node_modules; echo '${JSON.stringify({ packages })}' > node_modules/.package-lock.json`;

async function npmCalls(): Promise<number> {
  const calls = await readFile(path.join(checkout, 'npm-calls'), 'utf8').catch(() => '');
  return calls.split('\n').filter((call) => call.startsWith('ci ')).length;
}

function start(args: string[], { searched = `${checkout}/bin:/usr/bin:/bin` } = {}): ChildProcess {
  return spawn(process.execPath, [path.join(checkout, 'scripts/launch.mjs'), ...args], {
    cwd: checkout,
    env: { PATH: searched, HOME: checkout },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

async function outcome(child: ChildProcess): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const [stdout, stderr, [code]] = await Promise.all([
    textOf(child.stdout!),
    textOf(child.stderr!),
    once(child, 'close'),
  ]);
  return { code, stdout, stderr };
}

const launch = (...args: string[]) => outcome(start(args));

test('installs missing packages once, runs TypeScript, passes on arguments and returns the exit code', async () => {
  const first = await launch('hello.ts', 'world');
  expect(first).toMatchObject({ code: 3, stdout: 'hello world\n' });
  expect(first.stderr).toMatch(/^plimsoll: installing the packages .*\nplimsoll: installed in \d+ s\n$/);
  expect(await launch('hello.ts', 'again')).toEqual({ code: 3, stdout: 'hello again\n', stderr: '' });
  expect(await npmCalls()).toBe(1);
});

test('installs again when the lockfile changes', async () => {
  await launch('hello.ts', 'world');
  const library = { 'node_modules/library': { version: '2.0.0', integrity: 'sha512-2' } };
  await lock({ ...library, ...NATIVE });
  await npmThat(installs({ ...library, ...NATIVE }));
  expect((await launch('hello.ts', 'world')).code).toBe(3);
  expect(await npmCalls()).toBe(2);
});

test('installs nothing through a link, which would empty what it links to', async () => {
  const other = path.join(checkout, 'other');
  await mkdir(other);
  await writeFile(path.join(other, 'kept'), '');
  await symlink(other, path.join(checkout, 'node_modules'));
  const { code, stderr } = await launch('hello.ts', 'world');
  expect(code).toBe(1);
  expect(stderr).toContain(`installing would empty ${other}`);
  expect(await npmCalls()).toBe(0);
});

test('accepts a manual install', async () => {
  await mkdir(path.join(checkout, 'node_modules'));
  await put('node_modules/.package-lock.json', JSON.stringify({ packages: { ...LIBRARY, ...NATIVE } }));
  expect(await launch('hello.ts', 'world')).toEqual({ code: 3, stdout: 'hello world\n', stderr: '' });
  expect(await npmCalls()).toBe(0);
});

const DEV = { 'node_modules/tool': { version: '9.9.9', integrity: 'sha512-d', dev: true } };

async function installedWithoutDev(): Promise<void> {
  await lock({ ...LOCKED, ...DEV });
  await npmThat(installs({ ...LIBRARY, ...NATIVE, ...DEV }));
  await mkdir(path.join(checkout, 'node_modules'));
  await put('node_modules/.package-lock.json', JSON.stringify({ packages: { ...LIBRARY, ...NATIVE } }));
  await mkdir(path.join(checkout, 'cli'));
  await put('cli/main.ts', 'console.log("hello", process.argv[2]);\n');
}

test('after npm ci --omit=dev, runs our own command, and installs the rest only for a command that needs it', async () => {
  await installedWithoutDev();
  expect(await launch('cli/main.ts', 'backend')).toEqual({ code: 0, stdout: 'hello backend\n', stderr: '' });
  expect(await npmCalls()).toBe(0);
  expect(await launch('cli/main.ts', 'study')).toMatchObject({ code: 0, stdout: 'hello study\n' });
  expect(await npmCalls()).toBe(1);
});

test('an installed release, which has no lockfile, runs TypeScript below node_modules and installs nothing', async () => {
  const release = path.join(checkout, 'node_modules/plimsoll');
  await mkdir(path.join(release, 'scripts'), { recursive: true });
  for (const name of ['launch.mjs', 'install.mjs', 'strip-types.mjs']) {
    await copyFile(path.join(import.meta.dirname, name), path.join(release, 'scripts', name));
  }
  await put('node_modules/plimsoll/package.json', '{"type":"module"}');
  await put('node_modules/plimsoll/who.ts', 'export const who = (name: string): string => name;\n');
  await put('node_modules/plimsoll/hello.ts', "import { who } from './who.ts';\nconsole.log('hello', who('world'));\n");
  const child = spawn(process.execPath, [path.join(release, 'scripts/launch.mjs'), 'hello.ts'], {
    env: { PATH: `${checkout}/bin:/usr/bin:/bin`, HOME: checkout },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  expect(await outcome(child)).toEqual({ code: 0, stdout: 'hello world\n', stderr: '' });
  expect(await npmCalls()).toBe(0);
});

describe.skipIf(process.getuid?.() !== 0)('as a user without a home folder or write access', () => {
  const asNobody = async (...args: string[]) => {
    await chmod(checkout, 0o755);
    return outcome(
      spawn(process.execPath, [path.join(checkout, 'scripts/launch.mjs'), ...args], {
        cwd: '/',
        uid: 65_534,
        gid: 65_534,
        env: { PATH: `${checkout}/bin:/usr/bin:/bin`, HOME: '/nonexistent' },
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );
  };

  test('runs our own command', async () => {
    await installedWithoutDev();
    expect(await asNobody('cli/main.ts', 'backend')).toEqual({ code: 0, stdout: 'hello backend\n', stderr: '' });
  });

  test('if packages are missing, says why it cannot install them and what to do', async () => {
    const { code, stderr } = await asNobody('hello.ts', 'world');
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^plimsoll: packages are missing, and .*\.plimsoll cannot be written \(EACCES\): run npm ci as a user/,
    );
    expect(stderr).not.toMatch(/^ {4}at /m);
  });
});

test('of several launches at the same time, one installs and the others wait for it', async () => {
  const all = await Promise.all(['a', 'b', 'c'].map((name) => launch('hello.ts', name)));
  expect(all.map(({ code, stdout }) => [code, stdout])).toEqual([
    [3, 'hello a\n'],
    [3, 'hello b\n'],
    [3, 'hello c\n'],
  ]);
  expect(await npmCalls()).toBe(1);
});

test('the lock of a killed launch does not block others', async () => {
  await mkdir(path.join(checkout, '.plimsoll'));
  await put('.plimsoll/install.lock', '1');
  const longAgo = new Date(Date.now() - 60_000);
  await utimes(path.join(checkout, '.plimsoll/install.lock'), longAgo, longAgo);
  expect((await launch('hello.ts', 'world')).code).toBe(3);
});

test.each([
  ['npm error code ENOTFOUND', /The npm registry was not reached: check the network/],
  ['npm error code ENOSPC', /The disk is full/],
  ['npm error code EINTEGRITY', /does not match its checksum/],
  ['npm error code SELF_SIGNED_CERT_IN_CHAIN', /NODE_EXTRA_CA_CERTS/],
  ['npm error code ETARGET', /The registry does not have one of the packages/],
])('when npm says "%s", the launcher repeats it and says what to do', async (says, advice) => {
  await npmThat(`echo '${says}' >&2; exit 1`);
  const { code, stdout, stderr } = await launch('hello.ts', 'world');
  expect([code, stdout]).toEqual([1, '']);
  expect(stderr).toContain(says);
  expect(stderr).toMatch(advice);
  expect(stderr).not.toMatch(/^ {4}at /m);
});

test('names a native package that npm silently left out, and runs nothing', async () => {
  await npmThat(installs(LIBRARY));
  const { code, stdout, stderr } = await launch('hello.ts', 'world');
  expect([code, stdout]).toEqual([1, '']);
  expect(stderr).toMatch(/npm left out native@4\.5\.6: its registry/);
});

test('says if npm is missing', async () => {
  const { code, stderr } = await outcome(start(['hello.ts'], { searched: '/nowhere' }));
  expect(code).toBe(1);
  expect(stderr).toMatch(/npm was not found in PATH; it comes with Node/);
});

test.each([
  [[], /usage: node scripts\/launch\.mjs/],
  [['nothing.ts'], /there is no nothing\.ts; the tools are biome, tsc, vitest, wrangler/],
])('rejects the arguments %j before it installs anything', async (args, message) => {
  const { code, stderr } = await launch(...args);
  expect(code).toBe(1);
  expect(stderr).toMatch(message);
  expect(await npmCalls()).toBe(0);
});

test('puts the Node that runs the command first in PATH', async () => {
  await put('which.ts', 'console.log(process.execPath);\nconsole.log(process.env.PATH!.split(":")[0]);\n');
  const { stdout } = await launch('which.ts');
  const [node, first] = stdout.trim().split('\n');
  expect(first).toBe(path.dirname(node!));
});

test('passes SIGTERM to the command and returns its exit code', async () => {
  await put(
    'wait.ts',
    'process.on("SIGTERM", () => process.exit(7));\nsetInterval(() => {}, 1000);\nconsole.log("up");\n',
  );
  const child = start(['wait.ts']);
  await once(child.stdout!, 'data');
  child.kill('SIGTERM');
  expect((await outcome(child)).code).toBe(7);
});

const TELLS_ITS_END = `
  import { writeFileSync } from 'node:fs';
  const end = (how: string) => { writeFileSync('ended', how); process.exit(); };
  process.on('disconnect', () => end('disconnect'));
  process.on('SIGTERM', () => end('SIGTERM'));
  console.log('up');`;
const howItEnded = () => readFile(path.join(checkout, 'ended'), 'utf8').catch(() => null);

test('a command notices when the launcher is killed', async () => {
  await put('wait.ts', TELLS_ITS_END);
  const child = start(['wait.ts']);
  await once(child.stdout!, 'data');
  child.kill('SIGKILL');
  await expect.poll(howItEnded).toBe('disconnect');
});

test.each([
  ["npm's shell gets SIGTERM", 'SIGTERM', (inner: string) => inner],
  ['npm above its shell gets SIGKILL', 'SIGKILL', (inner: string) => `sh -c "${inner}"; true`],
] as const)('sends the command SIGTERM when %s', async (_what, signal, under) => {
  await put('wait.ts', TELLS_ITS_END);
  // With `; true` left to run, the shell stays alive, as npm's shell sometimes does.
  const script = under(`'${process.execPath}' scripts/launch.mjs wait.ts; true`);
  const npm = spawn('sh', ['-c', script], {
    cwd: checkout,
    env: { PATH: `${checkout}/bin:/usr/bin:/bin`, HOME: checkout, npm_lifecycle_event: 'start' },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await once(npm.stdout, 'data');
  npm.kill(signal);
  await expect.poll(howItEnded).toBe('SIGTERM');
});
