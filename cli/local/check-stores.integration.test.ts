import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { checkStores } from './check-stores.ts';

let dir: string;
let file: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-stores-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  await mkdir(path.join(dir, 'do/tenants'), { recursive: true });
  file = path.join(dir, 'do/tenants/0a.sqlite');
  const database = new DatabaseSync(file);
  database.exec('PRAGMA journal_mode = WAL; CREATE TABLE tenants (id TEXT PRIMARY KEY, name TEXT)');
  const insert = database.prepare('INSERT INTO tenants VALUES (?, ?)');
  for (let row = 0; row < 500; row++) insert.run(`tenant-${row}`, 'x'.repeat(100));
  database.close();
});

test('accepts stores that are intact or do not exist yet', async () => {
  const before = await readFile(file);
  checkStores(dir);
  expect(await readFile(file)).toEqual(before);
  checkStores(path.join(dir, 'nothing'));
});

test.each<[string, (bytes: Buffer) => Buffer]>([
  ['is not a database', () => Buffer.from('x'.repeat(5_000))],
  ['was truncated', (bytes) => bytes.subarray(0, 20_000)],
  ['was overwritten in the middle', (bytes) => bytes.fill(0xff, 8_192, 16_384)],
])('names a store that %s, and says what to do', async (_name, damage) => {
  await writeFile(file, damage(await readFile(file)));
  let message = '';
  try {
    checkStores(dir);
  } catch (error) {
    message = (error as Error).message;
  }
  expect(message).toContain(`${file} is damaged (`);
  expect(message).toContain(`put back a copy of ${dir}/do from before, or delete that folder`);
  expect(message).not.toContain('\n');
});

test('says that nothing is lost if the damaged store holds only copies', async () => {
  await mkdir(path.join(dir, 'kv'));
  await writeFile(path.join(dir, 'kv/1b.sqlite'), 'x'.repeat(5_000));
  expect(() => checkStores(dir)).toThrow(`kv/1b.sqlite is damaged (file is not a database); delete ${dir}/kv, which`);
});
