/**
 * Tests what `npm pack` puts into a release, and the defaults of commands that run in one. A copy
 * of the tracked files stands in for a clone, so `git add` new files before you run this.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { runPlimsoll } from './testing/run-plimsoll.ts';

const ROOT = path.join(import.meta.dirname, '..');

let folder: string;
let copy: string;
let tracked: string[];
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'plimsoll-packed-'));
  copy = path.join(folder, 'plimsoll');
  const listed = execFileSync('git', ['ls-files', '-z'], { cwd: ROOT, encoding: 'utf8' }).split('\0');
  tracked = listed.filter((file) => file !== '' && existsSync(path.join(ROOT, file)));
  for (const file of tracked) cpSync(path.join(ROOT, file), path.join(copy, file));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write(file: string): void {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, 'secret');
}

test('a release holds only files that git tracks, whatever else lies in their folders', () => {
  const others = [
    'workers/.dev.vars',
    'workers/.dev.vars.staging',
    'cli/.env',
    'shared/line/.env.production',
    'gpu-backend/server/receipts.pem',
    'policies/receipt-key.jwk',
    'cli/.plimsoll/secrets/draw-secret',
    'examples/.wrangler/state',
    'training/run/out.log',
    'models/private/model.safetensors',
  ];
  for (const file of others) write(path.join(copy, file));
  const args = ['pack', '--dry-run', '--json', '--ignore-scripts', '--loglevel=error'];
  const [packed] = JSON.parse(execFileSync('npm', args, { cwd: copy, encoding: 'utf8' })) as [
    { files: { path: string }[] },
  ];
  const files = packed.files.map((file) => file.path);
  expect(files).toEqual(expect.arrayContaining(['cli/plimsoll.mjs', 'workers/request/env.ts', 'wrangler.toml']));
  for (const model of ['models/demo/', 'models/classifier/']) {
    const shipped = tracked.filter((file) => file.startsWith(model));
    expect(files).toEqual(expect.arrayContaining(shipped));
  }
  expect(files.filter((file) => !tracked.includes(file))).toEqual([]);
});

describe('in a release, far from the checkout', () => {
  let here: string;
  beforeAll(() => {
    rmSync(path.join(copy, 'package-lock.json'));
    symlinkSync(path.join(ROOT, 'node_modules'), path.join(copy, 'node_modules'), 'junction');
  });
  beforeEach(() => {
    here = mkdtempSync(path.join(folder, 'here-'));
  });

  const plimsoll = (...args: string[]) => runPlimsoll(args, { cwd: here, root: copy });

  test('eval without a bundle names the folder it looked in, and the option', async () => {
    expect(await plimsoll('eval')).toEqual({
      code: 1,
      stdout: '',
      stderr: `plimsoll: there is no bundle in ${path.join(here, 'models/demo')}; --bundle names the folder of one\n`,
    });
  });

  test('train classifier reads and writes in the current folder, and leaves the shipped classifier alone', async () => {
    const model = path.join(copy, 'models/classifier/classifier.bin');
    const before = readFileSync(model);
    const { code, stderr } = await plimsoll('train', 'classifier', '--force');
    expect(code).toBe(1);
    expect(stderr).toContain(`reading prompts from ${path.join(here, 'data')}\n`);
    expect(existsSync(path.join(here, 'classifier'))).toBe(true);
    expect(readFileSync(model).equals(before)).toBe(true);
  });

  test('help says where these folders are', async () => {
    const help = async (...args: string[]) => (await plimsoll(...args, '--help')).stdout.replace(/\s+/g, ' ');
    expect(await help('train', 'classifier')).toMatch(/--out .*\(default: classifier\)/);
    expect(await help('train', 'classifier')).toMatch(
      /--data .*\(default: data, in the current folder; docs\/training\.md says .*\)/,
    );
    expect(await help('serve')).toMatch(/\.plimsoll in the current folder/);
  });
});
