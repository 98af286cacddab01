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

process.exitCode = (await run(path.join(import.meta.dirname, 'install-vitepress.mjs'), [])) || (await build());
if (process.exitCode === 0 && process.argv.includes('--serve')) process.exitCode = await vitepress('preview');

async function build(): Promise<number> {
  const listed = ['ls-files', '--cached', '--others', '--exclude-standard', '*.md'];
  const files = execFileSync('git', listed, { cwd: ROOT, encoding: 'utf8' }).trim().split('\n');
  await stage(ROOT, path.join(VITEPRESS, '.staged'), pagesOf(ROOT, files));
  const code = await vitepress('build');
  if (code !== 0) return code;
  const dead = await deadLinks(OUT, process.env.PLIMSOLL_DOCS_BASE ?? '/');
  for (const each of dead) console.error(each);
  if (dead.length === 0) console.log(`the site is in ${path.relative(process.cwd(), OUT) || '.'}`);
  return dead.length === 0 ? 0 : 1;
}

function vitepress(command: string): Promise<number> {
  return run(path.join(VITEPRESS, 'node_modules/vitepress/bin/vitepress.js'), [command, VITEPRESS]);
}

async function run(program: string, args: readonly string[]): Promise<number> {
  const child = spawn(process.execPath, [program, ...args], { cwd: VITEPRESS, stdio: 'inherit' });
  const [exit] = await once(child, 'close');
  // The cast: a killed process has no code.
  return (exit as number | null) ?? 1;
}
