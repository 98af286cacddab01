/**
 * Builds the console's files. esbuild bundles the Worker at each start already, and the console
 * takes it a fifth of a second, so nothing built is committed and nothing can be out of date.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type OutputFile } from 'esbuild';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SOURCE = path.join(ROOT, 'workers/console');
/** Where workers/session/console-file.ts serves them. */
const BASE = '/console/';

type ConsoleFile = { name: string; contents: Uint8Array | string };

/**
 * Writes the files into `folder` and removes what was there. The same source gives the same files,
 * byte for byte, and the name of each but the page has its content's hash.
 */
export async function writeConsole(folder: string): Promise<void> {
  const files = await bundleConsole();
  await makeFolders(folder);
  await Promise.all(files.map(({ name, contents }) => writeFile(path.join(folder, name), contents)));
  // The folder itself stays: a stack that runs goes on with what is in it now.
  const old = (await readdir(folder)).filter((name) => files.every((file) => file.name !== name));
  await Promise.all(old.map((name) => rm(path.join(folder, name), { recursive: true })));
}

/** One after the other: `recursive` may never return where no folder can be made. */
async function makeFolders(folder: string): Promise<void> {
  const parent = path.dirname(folder);
  if (!existsSync(parent)) await makeFolders(parent);
  await mkdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
}

export async function bundleConsole(): Promise<ConsoleFile[]> {
  const { outputFiles } = await build({
    absWorkingDir: ROOT,
    entryPoints: { app: path.join(SOURCE, 'main.tsx'), mark: path.join(SOURCE, 'mark.svg') },
    outdir: 'console',
    bundle: true,
    // What only some pages need is loaded when it is needed.
    splitting: true,
    write: false,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    loader: { '.woff2': 'file', '.svg': 'copy' },
    entryNames: '[name]-[hash]',
    chunkNames: '[name]-[hash]',
    assetNames: '[name]-[hash]',
    publicPath: BASE,
    logLevel: 'error',
  });
  const files = outputFiles.map((file) => ({ name: path.basename(file.path), contents: file.contents }));
  return [...files, { name: 'index.html', contents: await page(outputFiles) }];
}

/** The page, with the names of the files that it begins with. */
async function page(files: readonly OutputFile[]): Promise<string> {
  const template = await readFile(path.join(SOURCE, 'index.html'), 'utf8');
  return template.replace(/\{(app|mark)\.(js|css|svg)\}/g, (_, name: string, ending: string) => {
    const found = files
      .map((file) => path.basename(file.path))
      .find((file) => file.startsWith(`${name}-`) && file.endsWith(`.${ending}`));
    if (found === undefined) throw new Error(`the console's build has no ${name}.${ending}`);
    return BASE + found;
  });
}
