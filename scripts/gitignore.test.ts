/** `git add -A` must not add secrets from the places where wrangler, Node and people keep them. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

let dir: string;
beforeAll(async () => {
  dir = mkdtempSync(path.join(tmpdir(), 'plimsoll-ignore-'));
  await copyFile(path.join(import.meta.dirname, '../.gitignore'), path.join(dir, '.gitignore'));
  spawnSync('git', ['init', '--quiet'], { cwd: dir });
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const ignored = (file: string) => spawnSync('git', ['check-ignore', '--quiet', file], { cwd: dir }).status === 0;

test.each([
  '.dev.vars',
  '.dev.vars.staging',
  'workers/.dev.vars',
  '.env',
  '.env.local',
  '.env.production',
  'receipt-key.jwk',
  'key.pem',
  'secrets/directive-secret',
])('%s is ignored', (file) => expect(ignored(file)).toBe(true));

test.each(['wrangler.toml', 'workers/request/env.ts', 'cli/local/secrets.ts'])('%s is not ignored', (file) => {
  expect(ignored(file)).toBe(false);
});
