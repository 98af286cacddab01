/** The rules in biome.json, seen at work: each forbidden import is written to a file of its own and has to be found. */
import { spawnSync } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const ROOT = path.join(import.meta.dirname, '..');
const BIOME = path.join(
  path.dirname(createRequire(import.meta.url).resolve('@biomejs/biome/package.json')),
  'bin/biome',
);

const RULES = ['noRestrictedImports', 'noNodejsModules', 'noImportCycles'];

/** File -> its text and the rule that has to find it; null: it is allowed. */
const CASES: Record<string, [text: string, rule: string | null]> = {
  'shared/alias.ts': ["import { x } from '#policies/x.ts';\nexport const y = x;\n", 'noRestrictedImports'],
  'shared/relative.ts': ["import { x } from '../policies/x.ts';\nexport const y = x;\n", 'noRestrictedImports'],
  'shared/type-only.ts': ["import type { X } from '#gpu-backend/x.ts';\nexport type Y = X;\n", 'noRestrictedImports'],
  'shared/re-export.ts': ["export { x } from '#workers/x.ts';\n", 'noRestrictedImports'],
  'shared/dynamic.ts': ["export const later = () => import('#training/x.ts');\n", 'noRestrictedImports'],
  'shared/tools.ts': ["export { x } from '../cli/x.ts';\n", 'noRestrictedImports'],
  'shared/builtin.ts': ["import fs from 'fs';\nexport const y = fs;\n", 'noNodejsModules'],
  'shared/node-builtin.ts': [
    "import { readFile } from 'node:fs/promises';\nexport const y = readFile;\n",
    'noNodejsModules',
  ],
  'shared/cycle-a.ts': ["import { b } from '#shared/cycle-b.ts';\nexport const a = () => b;\n", 'noImportCycles'],
  'shared/cycle-b.ts': ["import { a } from './cycle-a.ts';\nexport const b = () => a;\n", 'noImportCycles'],
  'policies/up.ts': ["export { x } from '#workers/x.ts';\n", 'noRestrictedImports'],
  'policies/builtin.ts': ["import os from 'node:os';\nexport const y = os;\n", 'noNodejsModules'],
  'policies/down.ts': ["export { x } from '#shared/x.ts';\n", null],
  'workers/engine.ts': ["import type { X } from '#gpu-backend/x.ts';\nexport type Y = X;\n", 'noRestrictedImports'],
  'workers/gateway/engine.ts': ["export { x } from '../../gpu-backend/x.ts';\n", 'noRestrictedImports'],
  'workers/onnx.ts': [
    "import type { Tensor } from 'onnxruntime-node';\nexport type Y = Tensor;\n",
    'noRestrictedImports',
  ],
  'workers/builtin.ts': ["import { Buffer } from 'node:buffer';\nexport const y = Buffer;\n", 'noNodejsModules'],
  'workers/down.ts': ["export { x } from '#policies/x.ts';\nexport { x as z } from '#shared/x.ts';\n", null],
  'workers/local/builtin.ts': ["import os from 'node:os';\nexport const y = os;\n", null],
  'workers/some.test.ts': ["import os from 'node:os';\nexport const y = os;\n", null],
  'gpu-backend/edge.ts': ["export { x } from '#policies/x.ts';\n", 'noRestrictedImports'],
  'gpu-backend/up.ts': ["export { x } from '#training/x.ts';\n", 'noRestrictedImports'],
  'gpu-backend/engine.ts': ["export { Tensor } from 'onnxruntime-node';\nexport { x } from '#shared/x.ts';\n", null],
  'training/edge.ts': ["export { x } from '#workers/x.ts';\n", 'noRestrictedImports'],
  'training/down.ts': ["export { x } from '#gpu-backend/x.ts';\n", null],
};

describe('an import against the one direction', () => {
  let folder: string;
  let found: Map<string, string>;
  beforeAll(async () => {
    folder = await realpath(await mkdtemp(path.join(tmpdir(), 'plimsoll-imports-')));
    for (const name of ['biome.json', 'package.json', '.gitignore']) {
      await copyFile(path.join(ROOT, name), path.join(folder, name));
    }
    for (const layer of ['shared', 'policies', 'workers', 'gpu-backend', 'training', 'cli']) {
      await write(path.join(folder, layer, 'x.ts'), 'export const x = 1;\nexport type X = 1;\n');
    }
    for (const [file, [text]] of Object.entries(CASES)) await write(path.join(folder, file), text);
    const { stdout } = spawnSync(
      process.execPath,
      [BIOME, 'lint', '--reporter=github', '--max-diagnostics=none', ...RULES.map((rule) => `--only=${rule}`)],
      { cwd: folder, encoding: 'utf8' },
    );
    const lines = stdout.matchAll(/^::error title=lint\/\w+\/(\w+),file=([^,]+),/gm);
    found = new Map([...lines].map(([, rule, file]) => [path.relative(folder, file!), rule!]));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test.each(Object.entries(CASES))('%s', (file, [, rule]) => {
    expect(found.get(file) ?? null).toBe(rule);
  });
});

test('no layer of the edge says import("...") for a type, the one form that the rules do not see', async () => {
  for (const layer of ['shared', 'policies', 'workers']) {
    for (const file of await readdir(path.join(ROOT, layer), { recursive: true })) {
      if (!file.endsWith('.ts')) continue;
      const text = await readFile(path.join(ROOT, layer, file), 'utf8');
      expect(text, `${layer}/${file}`).not.toMatch(/[:=<|&(]\s*(typeof\s+)?import\(\s*['"][^'"]+['"]\s*\)\s*[.[]/);
    }
  }
});

async function write(file: string, text: string): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, text);
}
