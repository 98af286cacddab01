/**
 * Which top folder may import which. docs/house.md shows these rules, and `npm run check` enforces
 * them.
 */
import type { SourceFile } from './imports.ts';

/** Lowest first. A folder, tests included, may import only the folders listed for it. */
export const LAYERS: Readonly<Record<string, readonly string[]>> = {
  shared: [],
  policies: ['shared'],
  workers: ['policies', 'shared'],
  'gpu-backend': ['shared'],
  training: ['gpu-backend', 'shared'],
  lab: ['training', 'gpu-backend', 'shared'],
  scripts: [],
  site: ['scripts', 'workers', 'policies', 'shared'],
  cli: ['scripts', 'lab', 'training', 'gpu-backend', 'workers', 'policies', 'shared'],
  test: ['cli', 'scripts', 'lab', 'training', 'gpu-backend', 'workers', 'policies', 'shared'],
  bench: ['test', 'cli', 'lab', 'training', 'gpu-backend', 'workers', 'policies', 'shared'],
  examples: [],
};

/** The edge has no GPU, and code that it shares with the browser must not be native. */
const WITHOUT_ONNXRUNTIME = ['shared', 'policies', 'workers'];

/** Only a program may end the process. A library throws, and its caller decides. */
const PROGRAMS = /^(cli|scripts|bench|test|examples)\/|\.test\.ts$|\/testing\//;

/** Lists every breach as one line: the place, the import, and the rule. */
export function breaches(sources: readonly SourceFile[]): string[] {
  return sources.flatMap(({ file, imports, computed, exits }) => {
    const top = topOf(file);
    const allowed = LAYERS[top];
    const found: string[] = [];
    if (allowed === undefined && file.includes('/')) {
      found.push(`${file}: ${top} is no layer; scripts/house/layers.ts says what each top folder may import`);
    }
    const isPage = file.startsWith('workers/console/');
    if (!(isPage ? /\.tsx?$/ : /\.(ts|mjs)$/).test(file)) {
      found.push(`${file}: write .ts, .tsx in the console, or .mjs where Node must run the file as it is`);
    }
    for (const line of computed)
      found.push(`${file}:${line} computes what it imports: name it, so that it can be checked`);
    for (const { line, to } of imports) {
      if ('package' in to) {
        if (/^onnxruntime/.test(to.package) && WITHOUT_ONNXRUNTIME.includes(top)) {
          found.push(`${file}:${line} imports ${to.package}: the edge never imports onnxruntime`);
        }
        continue;
      }
      if (to.file.startsWith('node_modules/'))
        found.push(`${file}:${line} reaches into node_modules: import the package`);
      if (/\.test\.ts$/.test(to.file)) found.push(`${file}:${line} imports ${to.file}: nobody imports a test`);
      const target = topOf(to.file);
      // A program at the root, such as vitest.config.ts, stands above all folders. Data does not.
      if (!to.file.includes('/') && file.includes('/') && !to.file.endsWith('.json')) {
        found.push(`${file}:${line} imports ${to.file}: what is at the root is above all folders`);
      }
      if (allowed === undefined || target === top || !(target in LAYERS) || allowed.includes(target)) continue;
      found.push(`${file}:${line} imports ${to.file}: ${top} imports ${listed(allowed)}`);
    }
    if (!PROGRAMS.test(file)) {
      for (const line of exits) found.push(`${file}:${line} calls process.exit: a library throws instead`);
    }
    return found;
  });
}

const topOf = (file: string) => file.split('/')[0]!;

function listed(names: readonly string[]): string {
  return names.length === 0 ? 'nothing of ours' : `only ${names.join(', ')}`;
}
