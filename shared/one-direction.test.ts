import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';

/** Folder -> the folders that it may import. Whatever builds on another stands below it. */
const MAY_IMPORT: Record<string, string[]> = {
  line: [],
  text: [],
  gate: ['line'],
  api: ['line'],
  classify: ['line', 'api'],
  protocol: ['line', 'gate', 'api'],
};

test('the folders of shared import one way, types included', async () => {
  const found: Record<string, Set<string>> = Object.fromEntries(
    Object.keys(MAY_IMPORT).map((name) => [name, new Set()]),
  );
  for (const file of await readdir(import.meta.dirname, { recursive: true })) {
    if (!file.endsWith('.ts') || file.endsWith('.test.ts')) continue;
    const [folder = ''] = file.split(path.sep);
    const text = await readFile(path.join(import.meta.dirname, file), 'utf8');
    for (const [, to] of text.matchAll(/from '#shared\/(\w+)\//g)) if (to !== folder) found[folder]?.add(to!);
    // A relative import stays in its folder: one step up, from `testing/`, is the furthest.
    expect(text, file).not.toMatch(file.split(path.sep).length > 2 ? /from '\.\.\/\.\.\// : /from '\.\.\//);
  }
  for (const [folder, imports] of Object.entries(found)) {
    expect(
      [...imports].filter((to) => !MAY_IMPORT[folder]!.includes(to)),
      folder,
    ).toEqual([]);
  }
});
