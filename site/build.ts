/**
 * `npm run docs`: builds the documentation's site into `dist/docs`, and checks that every link in
 * it leads somewhere. `--serve` serves it afterwards. VitePress has a lockfile of its own and is
 * installed when it is first needed.
 *
 *     PLIMSOLL_DOCS_BASE=/plimsoll/     the site lies below this path
 *     PLIMSOLL_DOCS_FILES=https://...   where the repository's files are, for links to source code
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { deadLinks } from './dead-links.ts';
import { pagesOf } from './pages.ts';
import { stage } from './stage.ts';

const ROOT = path.join(import.meta.dirname, '..');
const VITEPRESS = path.join(import.meta.dirname, 'vitepress');
const OUT = path.join(ROOT, 'dist/docs');

const installed = await run(path.join(import.meta.dirname, 'install-vitepress.mjs'), []);
if (installed !== 0) process.exit(installed);
const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.md'], {
  cwd: ROOT,
  encoding: 'utf8',
});
await stage(ROOT, path.join(VITEPRESS, '.staged'), pagesOf(ROOT, files.trim().split('\n')));
const code = await vitepress('build');
const dead = code === 0 ? await deadLinks(OUT, process.env.PLIMSOLL_DOCS_BASE ?? '/') : [];
for (const each of dead) console.error(each);
process.exitCode = code === 0 && dead.length === 0 ? 0 : 1;
if (process.exitCode === 0) console.log(`the site is in ${path.relative(process.cwd(), OUT) || '.'}`);
if (process.exitCode === 0 && process.argv.includes('--serve')) process.exitCode = await vitepress('preview');

function vitepress(command: string): Promise<number> {
  return run(path.join(VITEPRESS, 'node_modules/vitepress/bin/vitepress.js'), [command, VITEPRESS]);
}

async function run(program: string, args: readonly string[]): Promise<number> {
  const child = spawn(process.execPath, [program, ...args], { cwd: VITEPRESS, stdio: 'inherit' });
  const [exit] = await once(child, 'close');
  // The cast: a killed process has no code.
  return (exit as number | null) ?? 1;
}
