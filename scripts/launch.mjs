/**
 * Runs the project's TypeScript and its tools, on a bare clone too, under any Node from 18 on and without a dependency:
 *
 *     node scripts/launch.mjs cli/main.ts serve      a file of ours
 *     node scripts/launch.mjs vitest run             a tool from node_modules
 *
 * It (1) installs what package-lock.json names, if node_modules does not hold it yet, (2) chooses the Node: its own where
 * that is new enough, else a pinned one from npm (scripts/node), and (3) runs the command with that Node first in PATH,
 * passes signals down and the exit code up. Its own lines go to stderr; stdout belongs to the command.
 */
import { execFileSync, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { ensureInstalled, exitCode, LaunchError, PLATFORM, PLATFORMS, readJson } from './install.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PINNED_NODE = path.join(ROOT, 'scripts', 'node');
/** An installed release: npm packs no package-lock.json, and whoever installed the release has its packages already. */
const RELEASE = !fs.existsSync(path.join(ROOT, 'package-lock.json'));
/** Outside of node_modules, which an install empties first. */
const LOCK = path.join(RELEASE ? PINNED_NODE : path.join(ROOT, '.plimsoll'), 'install.lock');
/** Node strips no types below node_modules, so a release brings this. */
const STRIP_TYPES = pathToFileURL(path.join(ROOT, 'scripts', 'strip-types.mjs')).href;

/**
 * Command -> the package it comes from.
 * @type {Readonly<Record<string, string>>}
 */
const TOOLS = { biome: '@biomejs/biome', tsc: 'typescript', vitest: 'vitest', wrangler: 'wrangler' };

/**
 * Never returns: ends the process with the command's exit code.
 * @param {string[]} argv
 * @returns {Promise<never>}
 */
export async function launch([command, ...args]) {
  try {
    if (command === undefined) throw new LaunchError('usage: node scripts/launch.mjs <file.ts | tool> [arguments]');
    const tool = command in TOOLS;
    if (!tool && !fs.existsSync(path.join(ROOT, command))) {
      throw new LaunchError(`there is no ${command}; the tools are ${Object.keys(TOOLS).join(', ')}`);
    }
    const what = 'the packages of package-lock.json (about 0.75 GB on disk)';
    // The study draws its plots with packages of development; all else that a deployment may run does without.
    const dev = command !== 'cli/main.ts' || args[0] === 'study';
    if (!RELEASE) await ensureInstalled(ROOT, { lock: LOCK, what, dev });
    const node = await chooseNode();
    const target = tool ? toolFile(command) : path.join(ROOT, command);
    process.exit(await run(node, [target, ...args], { tool }));
  } catch (error) {
    console.error(
      `plimsoll: ${error instanceof LaunchError ? error.message : error instanceof Error ? error.stack : error}`,
    );
    process.exit(1);
  }
}

/** Node strips types without a flag from 22.18 on; 23 did so only late in its short life. */
async function chooseNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major >= 24 || (major === 22 && minor >= 18)) return process.execPath;
  await ensureInstalled(PINNED_NODE, {
    lock: LOCK,
    what: `a newer Node for this project alone (57 MB to fetch, 0.2 GB on disk): this is ${process.version}, and it takes 22.18, 24 or later to run`,
  }).catch((error) => {
    if (!RELEASE || !(error instanceof LaunchError)) throw error;
    throw new LaunchError(
      `this is Node ${process.version}, and it takes 22.18, 24 or later to run. Fetching one failed, so install one from nodejs.org. The failure: ${error.message}`,
    );
  });
  // npm 10 does not always link .bin/node, so the file is taken where the package has it.
  const node = path.join(PINNED_NODE, 'node_modules', PLATFORMS[PLATFORM] ?? '');
  if (!fs.existsSync(node)) throw new LaunchError(`${node} is missing; delete scripts/node/node_modules and try again`);
  return node;
}

/** @param {string} tool */
function toolFile(tool) {
  const folder = path.join(ROOT, 'node_modules', TOOLS[tool] ?? '');
  const { bin } = readJson(path.join(folder, 'package.json'));
  return path.join(folder, typeof bin === 'string' ? bin : bin[tool]);
}

/**
 * @param {string} node
 * @param {string[]} args
 * @param {{ tool: boolean }} options
 * @returns {Promise<number>}
 */
async function run(node, args, { tool }) {
  const env = withFirstInPath(path.dirname(node));
  const options = ['--disable-warning=ExperimentalWarning', ...(RELEASE ? ['--import', STRIP_TYPES] : [])];
  const child = spawn(node, [...options, ...args], {
    env,
    // Tools expect the project's folder; our own commands take paths as their user wrote them.
    cwd: tool ? ROOT : process.cwd(),
    // By the channel our own programs notice the end of this process even when it was killed outright.
    stdio: tool ? 'inherit' : ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  // A terminal tells the whole group, so the command may hear of it twice.
  for (const signal of ['SIGINT', 'SIGTERM'])
    process.on(signal, () => child.kill(/** @type {NodeJS.Signals} */ (signal)));
  whenNpmIsGone(() => child.kill('SIGTERM'));
  return exitCode(child);
}

/**
 * npm passes a signal on to the shell that it runs a script with, and that shell dies of it and tells nobody; a killed npm
 * tells not even the shell. npm always waits for what it runs, so once it or its shell is gone, the command should be too.
 * @param {() => void} then
 */
function whenNpmIsGone(then) {
  if (process.env.npm_lifecycle_event === undefined || process.platform === 'win32') return;
  const parent = process.ppid;
  const { name, parent: grandparent } = describe(parent);
  const above = /(^|[/-])\w*sh$/.test(name) ? [parent, grandparent] : [parent];
  const timer = setInterval(() => {
    if (process.ppid === parent && above.every(isAlive)) return;
    clearInterval(timer);
    then();
  }, PARENT_CHECK_MS);
  timer.unref();
}
const PARENT_CHECK_MS = 500;

/**
 * @param {number} pid
 * @returns {{ name: string, parent: number, state: string }}
 */
function describe(pid) {
  try {
    // "pid (name) state parent ...", where the name may hold anything.
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state = '', parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { name: stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')), parent: Number(parent), state };
  } catch {
    if (process.platform === 'linux') return { name: '', parent: 0, state: 'X' };
    const line = execFileSync('ps', ['-o', 'state=,ppid=,comm=', '-p', String(pid)], { encoding: 'utf8' }).trim();
    const [state = '', parent, ...name] = line.split(/\s+/);
    return { name: name.join(' '), parent: Number(parent), state };
  }
}

/** @param {number} pid */
function isAlive(pid) {
  // One that has ended and that nobody has asked about (Z) still has a pid. Elsewhere, asking ps each time is too much.
  if (process.platform === 'linux') return !/[ZX]/.test(describe(pid).state);
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM';
  }
}

/** @param {string} folder */
function withFirstInPath(folder) {
  const env = { ...process.env };
  // Windows spells it Path, and a copy of the environment is no longer blind to case.
  const name = Object.keys(env).find((key) => key.toUpperCase() === 'PATH') ?? 'PATH';
  return { ...env, [name]: [folder, env[name]].filter(Boolean).join(path.delimiter) };
}

if (process.argv[1] && fs.realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await launch(process.argv.slice(2));
}
