/** What a browser has to load before the console shows something, and that it stays the same. */
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { bundleConsole } from './build-console.ts';

const MOST_BYTES = 150 * 1024;

test('the first load is at most 150 KB, and what only some pages need is not in it', async () => {
  const files = new Map((await bundleConsole()).map(({ name, contents }) => [name, Buffer.from(contents)]));
  const text = (name: string) => files.get(name)?.toString('utf8') ?? '';
  const first = new Set(['index.html']);
  // A set goes on with what is added to it on the way.
  for (const name of first) {
    // A script also names what it loads later, by a call.
    const now = name.endsWith('.js') ? /(?:from|import)"\/console\/([\w.-]+)"/g : /\/console\/([\w.-]+)/g;
    for (const [, file = ''] of text(name).matchAll(now)) first.add(file);
  }
  const loaded = [...first].filter((name) => files.has(name));
  const bytes = loaded.reduce((sum, name) => sum + gzipSync(files.get(name)!).length, 0);
  expect(loaded.some((name) => name.startsWith('app-') && name.endsWith('.js'))).toBe(true);
  expect(loaded.some((name) => name.startsWith('check-receipt-'))).toBe(false);
  expect(bytes).toBeLessThan(MOST_BYTES);
});

test('the same source gives the same files, byte for byte', async () => {
  const [first, second] = [await bundleConsole(), await bundleConsole()];
  const shown = (files: typeof first) =>
    files.map(({ name, contents }) => [name, Buffer.from(contents).toString('base64')]).sort();
  expect(shown(first)).toEqual(shown(second));
});

test('names no address but its own', async () => {
  for (const { name, contents } of await bundleConsole()) {
    const text = Buffer.from(contents).toString('utf8');
    // The names of XML and JSON Schema's dialects look like addresses, and nobody asks them.
    const addresses = [...text.matchAll(/https?:\/\/[\w.-]+/g)].map(([address]) => address);
    const names = /w3\.org|json-schema\.org/;
    if (/^(app|index)/.test(name)) expect(addresses.filter((address) => !names.test(address))).toEqual([]);
  }
});
