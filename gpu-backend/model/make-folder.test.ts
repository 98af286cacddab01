import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeFolder } from './make-folder.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'plimsoll-folder-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test('makes what is missing and keeps what is there', () => {
  const deep = path.join(dir, 'a/b/c');
  makeFolder(deep, { mode: 0o700 });
  makeFolder(deep);
  expect(statSync(deep).mode & 0o777).toBe(0o700);
});

test('names the folder that it cannot make, and why', () => {
  writeFileSync(path.join(dir, 'file'), '');
  symlinkSync(path.join(dir, 'nowhere'), path.join(dir, 'link'));
  expect(() => makeFolder(path.join(dir, 'file/deep/er'))).toThrow(
    `file/deep/er cannot be made: ${dir}/file is a file`,
  );
  expect(() => makeFolder(path.join(dir, 'link/deeper'))).toThrow(
    `link/deeper cannot be made: ${dir}/link is a link to nothing`,
  );
});

test.skipIf(!existsSync('/proc/self'))('fails, instead of hanging, if the file system takes no new folders', () => {
  expect(() => makeFolder('/proc/none/deep')).toThrow(
    '/proc/none/deep cannot be made: the file system of /proc takes no new folders',
  );
});

test('is how all our programs make folders, because Node’s own way may never return', () => {
  const root = path.join(import.meta.dirname, '../..');
  const sources = globSync('{bench,cli,gpu-backend,lab,policies,shared,training,workers}/**/*.ts', { cwd: root });
  const others = sources.filter(
    (file) =>
      !/\.test\.ts$|\/testing\//.test(file) &&
      /mkdir(Sync)?\([^;]*recursive/.test(readFileSync(path.join(root, file), 'utf8')),
  );
  // Its command (cli/train/classifier.ts) has already made the folder.
  expect(others).toEqual(['lab/classifier/train.ts']);
});
