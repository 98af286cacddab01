/**
 * Tests the import rules of biome.json. Each forbidden import is in a file of its own, and biome
 * must find it. house/layers.ts has the allowed directions between folders.
 */
import { spawnSync } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const ROOT = path.join(import.meta.dirname, '..');
const BIOME = path.join(
  path.dirname(createRequire(import.meta.url).resolve('@biomejs/biome/package.json')),
  'bin/biome',
);

const RULES = ['noNodejsModules', 'noImportCycles'];

/** File -> its text, and the rule that must flag it (null: the import is allowed). */
const CASES: Record<string, [text: string, rule: string | null]> = {
  'shared/builtin.ts': ["import fs from 'fs';\nexport const y = fs;\n", 'noNodejsModules'],
  'shared/node-builtin.ts': [
    "import { readFile } from 'node:fs/promises';\nexport const y = readFile;\n",
    'noNodejsModules',
  ],
  'shared/cycle-a.ts': ["import { b } from '#shared/cycle-b.ts';\nexport const a = () => b;\n", 'noImportCycles'],
  'shared/cycle-b.ts': ["import { a } from './cycle-a.ts';\nexport const b = () => a;\n", 'noImportCycles'],
  'policies/builtin.ts': ["import os from 'node:os';\nexport const y = os;\n", 'noNodejsModules'],
  'workers/builtin.ts': ["import { Buffer } from 'node:buffer';\nexport const y = Buffer;\n", 'noNodejsModules'],
  'workers/local/builtin.ts': ["import os from 'node:os';\nexport const y = os;\n", null],
  'workers/some.test.ts': ["import os from 'node:os';\nexport const y = os;\n", null],
};

describe('flags Node modules in the edge, and import cycles between files', () => {
  let folder: string;
  let found: Map<string, string>;
  beforeAll(async () => {
    folder = await realpath(await mkdtemp(path.join(tmpdir(), 'plimsoll-imports-')));
    for (const name of ['biome.json', 'package.json', '.gitignore']) {
      await copyFile(path.join(ROOT, name), path.join(folder, name));
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

async function write(file: string, text: string): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, text);
}
