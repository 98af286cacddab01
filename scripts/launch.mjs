/**
 * Runs the project's TypeScript and its tools. Works in a fresh clone, under any Node from 18 on,
 * and needs no packages itself:
 *
 *     node scripts/launch.mjs cli/main.ts serve      a file of ours
 *     node scripts/launch.mjs vitest run             a tool from node_modules
 *
 * 1. It installs the packages of package-lock.json that node_modules does not have yet.
 * 2. It chooses a Node: the one it runs under, if that is new enough, or else a pinned one from npm
 *    (scripts/node).
 * 3. It runs the command with that Node first in PATH, passes on signals and returns the exit code.
 *
 * Its own lines go to stderr. stdout belongs to the command.
 */
import { execFileSync, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { ensureInstalled, exitCode, LaunchError, PLATFORM, PLATFORMS, readJson } from './install.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PINNED_NODE = path.join(ROOT, 'scripts', 'node');
/**
 * True in an installed release. npm leaves package-lock.json out of a release, and installs a
 * release's packages along with it.
 */
const RELEASE = !fs.existsSync(path.join(ROOT, 'package-lock.json'));
/** The lock file is outside node_modules, because an install empties node_modules first. */
const LOCK = path.join(RELEASE ? PINNED_NODE : path.join(ROOT, '.plimsoll'), 'install.lock');
/** Node does not strip types below node_modules, so in a release this script does. */
const STRIP_TYPES = pathToFileURL(path.join(ROOT, 'scripts', 'strip-types.mjs')).href;

/**
 * Command -> the package it comes from.
 * @type {Readonly<Record<string, string>>}
 */
const TOOLS = { biome: '@biomejs/biome', tsc: 'typescript', vitest: 'vitest', wrangler: 'wrangler' };

/**
 * Never returns. It ends the process with the command's exit code.
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
    const what = 'the packages of package-lock.json (about 0.9 GB on disk)';
    // The study draws its plots with development packages. Nothing else that a deployment may
    // run needs them.
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

/** Node strips types without a flag from 22.18 on. In Node 23, only the last releases do. */
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
  // npm 10 does not always link .bin/node, so we take the file from the package itself.
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
    // Tools must run in the project's folder. Our own commands take paths relative to the user's
    // folder.
    cwd: tool ? ROOT : process.cwd(),
    // The channel tells our own programs when this process ends, even if it is killed.
    stdio: tool ? 'inherit' : ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  // A terminal signals the whole group, so the command may get a signal twice.
  for (const signal of ['SIGINT', 'SIGTERM'])
    process.on(signal, () => child.kill(/** @type {NodeJS.Signals} */ (signal)));
  whenNpmIsGone(() => child.kill('SIGTERM'));
  return exitCode(child);
}

/**
 * npm passes a signal on to the shell that runs its script. That shell dies without passing it on,
 * and a killed npm does not even signal the shell. npm always waits for what it runs. So once npm
 * or its shell is gone, the command should stop too.
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
    // "pid (name) state parent ...", and the name may contain anything.
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
  // A process that has ended keeps its pid until its parent reads its exit code (state Z). On other
  // systems we would have to run ps each time, which costs too much.
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
  // Windows calls it Path, and a copy of the environment is case-sensitive.
  const name = Object.keys(env).find((key) => key.toUpperCase() === 'PATH') ?? 'PATH';
  return { ...env, [name]: [folder, env[name]].filter(Boolean).join(path.delimiter) };
}

if (process.argv[1] && fs.realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await launch(process.argv.slice(2));
}
