import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { drawPage, drawText } from './draw.ts';
import { circles, folderGraph, storeys } from './folders.ts';
import { readSource, readSources } from './imports.ts';
import { breaches, LAYERS } from './layers.ts';

/** File -> its text. */
const house = (files: Record<string, string>) => Object.entries(files).map(([file, text]) => readSource(file, text));
const graphOf = (files: Record<string, string>) => folderGraph(house(files));

describe('finds an import', () => {
  test.each([
    ['that is static', "import { x } from '#b/x.ts';"],
    ['for its side effect', "import '../b/x.ts';"],
    ['of a type', "import type { X } from '#b/x.ts';"],
    ['that is dynamic', "const later = () => import('#b/x.ts');"],
    ['in a type', "let x: import('#b/x.ts').X;"],
    ['as a re-export', "export { x } from '../b/x.ts';"],
    ['as a re-export of everything', "export * from '../b/x.ts';"],
    ['dynamic, in a template', 'const later = () => import(`#b/x.ts`);'],
    ['by require', "const x = createRequire(import.meta.url)('../b/x.ts');"],
    ['of a thread', "new Worker(new URL('../b/x.ts', import.meta.url));"],
  ])('%s', (_, text) => {
    const { imports } = readSource('a/y.ts', `\n${text}\n`);
    expect(imports).toEqual([{ from: 'a/y.ts', line: 2, to: { file: 'b/x.ts' } }]);
  });

  test('but not in a comment or a string', () => {
    expect(readSource('a/y.ts', "// import { x } from '#b/x.ts';\nconst s = \"import '#b/x.ts'\";").imports).toEqual(
      [],
    );
  });
});

describe('folder circles', () => {
  test('finds a circle of two folders, with the imports that close it', () => {
    const graph = graphOf({
      'a/x.ts': "import '../b/y.ts';",
      'b/y.ts': "import type { X } from '../a/z.ts';",
      'a/z.ts': '',
    });
    expect(circles(graph)).toEqual([['a', 'b']]);
    expect(graph.get('b')!.get('a')).toEqual(['b/y.ts:1 -> a/z.ts']);
  });

  test('finds a circle of a folder and its subfolder', () => {
    expect(
      circles(graphOf({ 'a/x.ts': "import './in/y.ts';", 'a/in/y.ts': "import '../z.ts';", 'a/z.ts': '' })),
    ).toEqual([['a', 'a/in']]);
  });

  test('finds a circle of three folders once, without a folder that only stands on it', () => {
    const files = { 'a/x.ts': "import '../b/x.ts';", 'b/x.ts': "import '../c/x.ts';", 'c/x.ts': "import '../a/y.ts';" };
    const graph = graphOf({ ...files, 'a/y.ts': '', 'd/x.ts': "import '../a/x.ts';" });
    expect(circles(graph)).toHaveLength(1);
    expect(storeys(graph).knotted).toEqual(['a', 'b', 'c', 'd']);
  });

  test('finds no circle if only a test file closes it', () => {
    expect(
      circles(graphOf({ 'a/x.ts': "import '../b/y.ts';", 'b/y.ts': '', 'b/y.test.ts': "import '../a/x.ts';" })),
    ).toEqual([]);
  });
});

describe('a forbidden direction', () => {
  /** File -> its text, and whether it is a breach. */
  const CASES: Record<string, [text: string, breach: boolean]> = {
    'shared/alias.ts': ["import { x } from '#policies/x.ts';", true],
    'shared/relative.ts': ["import { x } from '../policies/x.ts';", true],
    'shared/type-only.ts': ["import type { X } from '#gpu-backend/x.ts';", true],
    'shared/in-a-type.ts': ["export type X = import('#workers/x.ts').X;", true],
    'shared/dynamic.ts': ["export const later = () => import('#training/x.ts');", true],
    'shared/some.test.ts': ["import { x } from '#policies/x.ts';", true],
    'policies/down.ts': ["export { x } from '#shared/x.ts';", false],
    'policies/up.ts': ["export { x } from '#workers/x.ts';", true],
    'workers/engine.ts': ["import type { X } from '#gpu-backend/x.ts';", true],
    'workers/onnx.ts': ["import type { Tensor } from 'onnxruntime-node';", true],
    'workers/down.ts': ["import '#policies/x.ts'; import '#shared/x.ts'; import 'hono';", false],
    'gpu-backend/edge.ts': ["import '#policies/x.ts';", true],
    'gpu-backend/engine.ts': ["import 'onnxruntime-node'; import '#shared/x.ts';", false],
    'training/lab.ts': ["import '#lab/x.ts';", true],
    'lab/down.ts': ["import '#training/x.ts'; import '#gpu-backend/x.ts';", false],
    'lab/edge.ts': ["import '#workers/x.ts';", true],
    'lab/command.ts': ["import '../cli/x.ts';", true],
    'cli/all.ts': ["import '#lab/x.ts'; import '#workers/x.ts'; import '../package.json';", false],
    'training/exit.ts': ['process.exit(1);', true],
    'cli/exit.ts': ['process.exit(1);', false],
    'training/exit-imported.ts': ["import { exit } from 'node:process';", true],
    'training/exit-global.ts': ['globalThis.process.exit(1);', true],
    'training/exit-quoted.ts': ["process['exit'](1);", true],
    'training/exit-taken.ts': ['const { exit } = process;', true],
    'shared/computed.ts': ["export const later = (name: string) => import('#workers/' + name);", true],
    'shared/root.ts': ["export * from '../barrel.ts';", true],
    'shared/manifest.ts': ["import manifest from '../package.json' with { type: 'json' };", false],
    'shared/of-a-test.ts': ["import { x } from './some.test.ts';", true],
    'shared/other.mts': ['export const x = 1;', true],
    'workers/thread.ts': ["new Worker(new URL('../gpu-backend/x.ts', import.meta.url));", true],
    'shared/required.ts': ["createRequire(import.meta.url)('../gpu-backend/x.ts');", true],
    'workers/into-modules.ts': ["import '../node_modules/onnxruntime-node/dist/index.js';", true],
    'tools/new.ts': ['export const x = 1;', true],
    'vitest.config.ts': ["import { x } from './scripts/x.ts';", false],
  };
  test.each(Object.entries(CASES))('%s', (file, [text, breach]) => {
    expect(breaches(house({ [file]: text }))).toHaveLength(breach ? 1 : 0);
  });

  test('is reported with its place and the rule', () => {
    expect(breaches(house({ 'lab/edge.ts': "\nimport '#workers/x.ts';" }))).toEqual([
      'lab/edge.ts:2 imports workers/x.ts: lab imports only training, gpu-backend, shared',
    ]);
  });

  test('does not appear in LAYERS itself: each layer names only lower layers', () => {
    const names = Object.keys(LAYERS);
    for (const [top, below] of Object.entries(LAYERS)) {
      for (const name of below) expect(names.indexOf(name), `${top} -> ${name}`).toBeLessThan(names.indexOf(top));
    }
  });
});

test('finds a comment line that ends beyond column 100, but not long code or a comment after code', () => {
  const long = 'x'.repeat(100);
  const { longComments } = readSource('a/x.ts', `// ${long}\nconst s = '${long}'; // [V]\n/*\n * ${long}\n */\n`);
  expect(longComments).toEqual([1, 4]);
});

test('the text lists every folder, lowest first, and the page leaves out arrows that a longer path implies', () => {
  const files = { 'shared/a/x.ts': '', 'shared/b/x.ts': "import '../a/x.ts';" };
  const graph = graphOf({ ...files, 'shared/c/x.ts': "import '../a/x.ts'; import '../b/x.ts';" });
  expect(drawText(graph)).toBe('  0  shared/a\n  1  shared/b  <- shared/a\n  2  shared/c  <- shared/a shared/b');
  const page = drawPage(graph);
  expect(page).toContain('shared_c --> shared_b');
  expect(page).not.toContain('shared_c --> shared_a');
});

test('ignores a file that is deleted but still in the git index', () => {
  const root = mkdtempSync(path.join(tmpdir(), 'plimsoll-house-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  execFileSync('git', ['init', '-q'], { cwd: root });
  mkdirSync(path.join(root, 'shared'));
  for (const name of ['gone.ts', 'here.ts']) writeFileSync(path.join(root, 'shared', name), '');
  execFileSync('git', ['add', '.'], { cwd: root });
  rmSync(path.join(root, 'shared/gone.ts'));
  expect(readSources(root).map(({ file }) => file)).toEqual(['shared/here.ts']);
});

test('reads our own folders: every layer has files, and cli/train.ts has imports', () => {
  const sources = readSources(path.join(import.meta.dirname, '../..'));
  const tops = new Set(sources.map(({ file }) => file.split('/')[0]));
  for (const top of ['shared', 'policies', 'workers', 'gpu-backend', 'training', 'lab', 'cli'])
    expect(tops).toContain(top);
  expect(sources.find(({ file }) => file === 'cli/train.ts')!.imports).not.toEqual([]);
});
