import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { bundlesToServe } from './bundles-to-serve.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'plimsoll-bundles-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
});

async function bundle(name: string, manifest: string): Promise<string> {
  const dir = path.join(root, name);
  await mkdir(dir);
  await writeFile(path.join(dir, 'plimsoll.json'), manifest);
  return dir;
}

const log = (message: string) => {
  throw new Error(`said: ${message}`);
};

test('without any named folder, the embedded demo is served, and after it what was found', async () => {
  const demo = { dir: path.join(import.meta.dirname, '../../models/demo'), id: 'plimsoll-demo', required: true };
  expect(await bundlesToServe({ named: null, log })).toEqual([demo]);
  const dir = await bundle('a', '{"id": "a"}');
  expect(await bundlesToServe({ named: null, found: [dir], log })).toEqual([demo, { dir, id: 'a', required: false }]);
});

test('named folders are served in their order, and nothing else', async () => {
  const named = [await bundle('b', '{"id": "b"}'), await bundle('a', '{"id": "a"}')];
  const found = [await bundle('c', '{"id": "c"}')];
  expect((await bundlesToServe({ named, found, log })).map(({ id }) => id)).toEqual(['b', 'a']);
});

test('a found bundle that is broken or of a known id is said, and left out; a named one is an error', async () => {
  const broken = await bundle('broken', '{"id": ');
  const twin = await bundle('twin', '{"id": "plimsoll-demo"}');
  const said: string[] = [];
  const bundles = await bundlesToServe({ named: null, found: [broken, twin], log: (message) => said.push(message) });
  expect(bundles.map(({ id }) => id)).toEqual(['plimsoll-demo']);
  expect(said).toEqual([expect.stringContaining(path.join(broken, 'plimsoll.json')), expect.stringContaining(twin)]);
  await expect(bundlesToServe({ named: [broken], log })).rejects.toThrow(path.join(broken, 'plimsoll.json'));
  await expect(bundlesToServe({ named: [await bundle('nameless', '{}')], log })).rejects.toThrow(
    /plimsoll\.json: .*id/,
  );
  await expect(bundlesToServe({ named: ['/nowhere'], log })).rejects.toThrow(
    /no bundle in \/nowhere; --bundle, PLIMSOLL_/,
  );
});

test('two bundles with one model id are refused, with both folders named', async () => {
  const named = [await bundle('one', '{"id": "m"}'), await bundle('two', '{"id": "m"}')];
  await expect(bundlesToServe({ named, log })).rejects.toThrow(
    `two bundles have the model id "m": ${named[0]} and ${named[1]}`,
  );
});
