/**
 * Builds the Worker as one script, the way wrangler does: bundled for workerd, with `#` imports
 * resolved through package.json, and with `.bin` files left out as Data modules of their own.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { build, type Plugin } from 'esbuild';

type WorkerModule = { type: 'ESModule' | 'Data'; path: string; contents: string | Uint8Array<ArrayBuffer> };

/**
 * Returns the modules, the script first. `binaries` replaces the files of `.bin` imports, by their
 * base name.
 */
export async function bundleWorker(
  entry: string,
  { binaries = {} }: { binaries?: Readonly<Record<string, string>> } = {},
): Promise<WorkerModule[]> {
  const files = new Map<string, string>();
  const dataModules: Plugin = {
    name: 'data-modules',
    setup({ onResolve }) {
      onResolve({ filter: /\.bin$/ }, ({ path: specifier, resolveDir }) => {
        const name = path.basename(specifier);
        files.set(name, binaries[name] ?? path.resolve(resolveDir, specifier));
        return { path: `./${name}`, external: true };
      });
    },
  };
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'neutral',
    target: 'es2024',
    mainFields: ['module', 'main'],
    conditions: ['workerd', 'worker', 'browser'],
    external: ['cloudflare:*'],
    plugins: [dataModules],
    logLevel: 'error',
  });
  const data = [...files].map(async ([name, file]): Promise<WorkerModule> => {
    return { type: 'Data', path: name, contents: new Uint8Array(await readFile(file)) };
  });
  return [{ type: 'ESModule', path: 'worker.js', contents: outputFiles[0]?.text ?? '' }, ...(await Promise.all(data))];
}
